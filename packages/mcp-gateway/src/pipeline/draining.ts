import type { Clock } from '@strata/shared/clock.ts';
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

/** Servers that are drained, as far as this replica is concerned: each lets its own calls finish, whatever runs on the others. */
export class Draining {
  readonly #options: DrainingOptions;
  readonly #untilMs = new Map<string, number>();

  constructor(options: DrainingOptions) {
    this.#options = options;
  }

  /** Takes over which servers are to be drained. */
  follow(names: readonly string[]): void {
    for (const name of [...this.#untilMs.keys()]) if (!names.includes(name)) this.#untilMs.delete(name);
    for (const name of names) if (!this.#untilMs.has(name)) this.#begin(name);
  }

  /** Whether calls run on it here that still have time. */
  isBusy(name: string): boolean {
    const { clock, find, health } = this.#options;
    const upstream = find(name);
    const isInTime = (this.#untilMs.get(name) ?? 0) > clock.monotonic();
    return isInTime && upstream !== undefined && health.of(upstream).running > 0;
  }

  #begin(name: string): void {
    const { clock, drainMs, find, health, onFinished } = this.#options;
    const leftMs = drainMs();
    const untilMs = clock.monotonic() + leftMs;
    this.#untilMs.set(name, untilMs);
    const upstream = find(name);
    const idle = upstream ? health.idle(upstream, leftMs) : Promise.resolve();
    void idle.then(() => {
      if (this.#untilMs.get(name) === untilMs) onFinished(name);
    });
  }
}
