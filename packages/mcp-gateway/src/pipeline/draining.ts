import type { Clock } from '@strata/shared/clock.ts';
import type { StoredServer } from '../domain/registered-server.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { ServerHealth } from './server-health.ts';

export interface DrainingOptions {
  readonly health: ServerHealth;
  readonly clock: Clock;
  readonly drainMs: () => number;
  /** The server as it is open here, if it is. */
  readonly find: (name: string) => Upstream | undefined;
  /** Nothing runs on it here any more, or its time is over. */
  readonly onFinished: (name: string) => void;
}

/** A server that is to be drained, and which change of it said so. */
export type DrainOrder = Pick<StoredServer, 'name' | 'state' | 'revision'>;

interface Drain {
  readonly revision: number;
  readonly untilMs: number;
}

/** Servers that are drained, as far as this replica is concerned: each lets its own calls finish, whatever runs on the others. */
export class Draining {
  readonly #options: DrainingOptions;
  readonly #drains = new Map<string, Drain>();

  constructor(options: DrainingOptions) {
    this.#options = options;
  }

  /** Takes over which servers are to be drained. One that was drained before is drained anew when that is said again. */
  follow(orders: readonly DrainOrder[]): void {
    const names = new Set(orders.map(({ name }) => name));
    for (const name of [...this.#drains.keys()]) if (!names.has(name)) this.#drains.delete(name);
    for (const order of orders) {
      const known = this.#drains.get(order.name);
      const isNew = order.state === 'draining' && order.revision !== known?.revision;
      if (known === undefined || isNew) this.#begin(order);
    }
  }

  /** Whether calls run on it here that still have time. */
  isBusy(name: string): boolean {
    const { clock, find, health } = this.#options;
    const upstream = find(name);
    const isInTime = (this.#drains.get(name)?.untilMs ?? 0) > clock.monotonic();
    return isInTime && upstream !== undefined && health.of(upstream).running > 0;
  }

  #begin({ name, revision }: DrainOrder): void {
    const { clock, drainMs, find, health, onFinished } = this.#options;
    const leftMs = drainMs();
    const drain: Drain = { revision, untilMs: clock.monotonic() + leftMs };
    this.#drains.set(name, drain);
    const upstream = find(name);
    const idle = upstream ? health.idle(upstream, leftMs) : Promise.resolve();
    void idle.then(() => {
      if (this.#drains.get(name) === drain) onFinished(name);
    });
  }
}
