import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { ServerFacts } from './server-facts.ts';
import type { SharedChannels } from './shared-channels.ts';
import type { CallWatcher } from './watch-calls.ts';

/** What is known of a server from its calls and from asking it. */
export interface Health {
  readonly status: 'up' | 'down' | 'unknown';
  /** Calls under way. */
  readonly running: number;
  /** Calls in a row that the server did not answer. */
  readonly failures: number;
  readonly reason: string | undefined;
  /** Wall clock; undefined before the first sign. */
  readonly seenAtMs: number | undefined;
}

interface Watched {
  status: Health['status'];
  running: number;
  failures: number;
  reason: string | undefined;
  seenAtMs: number | undefined;
  readonly whenIdle: Set<() => void>;
}

/** After so many calls in a row without an answer a server counts as down, until it answers. */
const failuresUntilDown = 3;
const serversFault: ReadonlySet<string> = new Set(['upstream_failed', 'timeout']);

/** Watches servers: passively by their calls, actively by a handshake or a ping. */
export class ServerHealth {
  readonly #clock: Clock;
  readonly #facts: ServerFacts;
  readonly #shared: SharedChannels;
  readonly #watched = new WeakMap<Upstream, Watched>();
  #timer: Scheduled | undefined;

  constructor(deps: { readonly clock: Clock; readonly facts: ServerFacts; readonly shared: SharedChannels }) {
    this.#clock = deps.clock;
    this.#facts = deps.facts;
    this.#shared = deps.shared;
  }

  of(upstream: Upstream): Health {
    const { whenIdle: _waiting, ...health } = this.#of(upstream);
    return { ...health };
  }

  /** An answer of any kind is a sign of life; only what kept the server from answering counts against it. */
  watchCalls(): CallWatcher {
    return ({ upstream }) => {
      const watched = this.#of(upstream);
      watched.running++;
      return ({ answer, failure }) => {
        if (answer !== undefined) this.#seen(watched);
        else if (failure instanceof GatewayError && serversFault.has(failure.kind))
          this.#failed(watched, failure.reason, failuresUntilDown);
        watched.running--;
        if (watched.running === 0) for (const tell of watched.whenIdle) tell();
      };
    };
  }

  /** Asks the server now. */
  async check(upstream: Upstream): Promise<Health> {
    const watched = this.#of(upstream);
    try {
      await this.#ask(upstream);
      this.#seen(watched);
    } catch (error) {
      this.#failed(watched, GatewayError.from(error).reason, 1);
    }
    return this.of(upstream);
  }

  /** Resolves when no call is under way, or after `timeoutMs`. */
  async idle(upstream: Upstream, timeoutMs: number): Promise<void> {
    const watched = this.#of(upstream);
    if (watched.running === 0) return;
    await new Promise<void>(resolve => {
      const tell = () => {
        timer.cancel();
        watched.whenIdle.delete(tell);
        resolve();
      };
      const timer = this.#clock.schedule(timeoutMs, tell);
      watched.whenIdle.add(tell);
    });
  }

  /** Asks servers over the network again and again; to ask one that is a process of each session would start a process. */
  checkEvery(everyMs: () => number, list: () => readonly Upstream[]): void {
    const again = () => {
      const ms = everyMs();
      this.#timer = this.#clock.schedule(ms === 0 ? 60_000 : ms, () => {
        const remote = ms === 0 ? [] : list().filter(upstream => upstream.transport === 'tcp');
        void Promise.all(remote.map(upstream => this.check(upstream))).then(again);
      });
    };
    again();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  async #ask(upstream: Upstream): Promise<void> {
    const signal = AbortSignal.timeout(upstream.policy.openTimeoutMs);
    if (upstream.policy.sharing === 'shared') await this.#shared.of(upstream).channel.ask('ping', {}, signal);
    else await this.#facts.check(upstream);
  }

  #seen(watched: Watched): void {
    watched.status = 'up';
    watched.failures = 0;
    watched.reason = undefined;
    watched.seenAtMs = this.#clock.now();
  }

  #failed(watched: Watched, reason: string, untilDown: number): void {
    watched.failures++;
    watched.reason = reason;
    if (watched.failures >= untilDown) watched.status = 'down';
  }

  #of(upstream: Upstream): Watched {
    let watched = this.#watched.get(upstream);
    if (!watched) {
      watched = {
        status: 'unknown',
        running: 0,
        failures: 0,
        reason: undefined,
        seenAtMs: undefined,
        whenIdle: new Set(),
      };
      this.#watched.set(upstream, watched);
    }
    return watched;
  }
}
