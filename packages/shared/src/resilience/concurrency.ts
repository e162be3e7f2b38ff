import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { StopSignal } from './stop-signal.ts';

export interface ConcurrencyOptions {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  /** Those who wait for a place; more are refused at once. */
  readonly maxQueue: number;
  readonly maxWaitMs: number;
}

/** The order in which waiting work is let in: a person before an agent before a batch. */
export const priorities = ['interactive', 'agent', 'batch'] as const;
export type Priority = (typeof priorities)[number];

/** `ignored` says nothing about the far end. */
export type Outcome = 'ok' | 'overloaded' | 'ignored';

export interface Learned {
  readonly outcome: Outcome;
  /** Which answers it can be compared with. */
  readonly kind?: string;
  /** How long the far end took, in any unit that is the same for all of the kind. Default: milliseconds since `enter`. */
  readonly took?: number;
}

/** To be called once, when the work is over. */
export type Leave = (learned: Learned) => void;

interface Waiting {
  admit(): void;
  refuse(error: GatewayError): void;
}

/** What is that much slower than usual has been queueing over there. Less is how answers differ by themselves. */
const tolerance = 4;
/** The limit never falls by more than this share at one outcome. */
const steepest = 0.5;
/** Room for a queue: what lets a limit grow that is used up. */
const queueRoom = 4;
const smoothing = 0.2;
const overloadFactor = 0.9;
/** Over how many outcomes "lately" and "usually" are averages. */
const latelyOutcomes = 10;
const usuallyOutcomes = 600;

/**
 * Finds out how much a far end can take at once. What it usually takes for an answer is compared with what it took lately, kind by kind: when that is
 * many times as long, it queues over there, and the limit falls until it does not (as Netflix's "gradient" limit). What stays slow becomes
 * the usual, and the limit grows again. An overload answer cuts it at once. Who finds no place waits, the more urgent first, and takes the place in the queue of
 * the less urgent when there is no room.
 */
export class AdaptiveConcurrency {
  readonly #options: ConcurrencyOptions;
  readonly #clock: Clock;
  readonly #queues = new Map<Priority, Set<Waiting>>(priorities.map(priority => [priority, new Set()]));
  readonly #times = new Map<string, Times>();
  #limit: number;
  #inFlight = 0;

  constructor(options: ConcurrencyOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#limit = options.initialLimit;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** A place, if one is free now. */
  tryEnter(): Leave | undefined {
    if (this.#inFlight >= this.limit) return undefined;
    this.#inFlight++;
    return this.#leave();
  }

  /**
   * Waits for a place.
   *
   * @throws GatewayError overloaded (`concurrency_queue_full`, `concurrency_wait_too_long`), or the signal's reason.
   */
  async enter(priority: Priority, signal: StopSignal): Promise<Leave> {
    if (signal.aborted) throw signal.reason;
    const left = this.tryEnter();
    if (left !== undefined) return left;
    await this.#wait(priority, signal);
    return this.#leave();
  }

  #leave(): Leave {
    const startedAt = this.#clock.monotonic();
    let isDone = false;
    return ({ outcome, kind = '', took = this.#clock.monotonic() - startedAt }) => {
      if (isDone) return;
      isDone = true;
      if (outcome === 'overloaded') this.#setLimit(this.#limit * overloadFactor);
      else if (outcome === 'ok') this.#learn(kind, Math.max(took, 0.01));
      this.#inFlight--;
      this.#admitWaiting();
    };
  }

  #wait(priority: Priority, signal: StopSignal): Promise<void> {
    const queue = this.#queues.get(priority) ?? new Set();
    this.#makeRoom(priority);
    return new Promise((resolve, reject) => {
      const leave = () => {
        queue.delete(entry);
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
      };
      const entry: Waiting = {
        admit: () => {
          leave();
          this.#inFlight++;
          resolve();
        },
        refuse: error => {
          leave();
          reject(error);
        },
      };
      const onAbort = () => {
        leave();
        reject(signal.reason);
      };
      const timer = this.#clock.schedule(this.#options.maxWaitMs, () => entry.refuse(waitedTooLong()));
      signal.addEventListener('abort', onAbort);
      queue.add(entry);
    });
  }

  #admitWaiting(): void {
    for (const priority of priorities) {
      for (const entry of this.#queues.get(priority) ?? []) {
        if (this.#inFlight >= this.limit) return;
        entry.admit();
      }
    }
  }

  #learn(kind: string, took: number): void {
    const times = this.#times.get(kind) ?? { lately: took, usually: took };
    this.#times.set(kind, times);
    times.lately += (took - times.lately) / latelyOutcomes;
    times.usually += (took - times.usually) / usuallyOutcomes;
    if (times.lately < times.usually / 2) times.usually = times.lately * 2; // slow times are over
    const gradient = Math.min(1, Math.max(steepest, (tolerance * times.usually) / times.lately));
    const isUsed = this.#inFlight * 2 >= this.limit; // a limit that is not reached proves nothing
    if (gradient === 1 && !isUsed) return;
    const next = this.#limit * gradient + queueRoom;
    this.#setLimit(this.#limit * (1 - smoothing) + next * smoothing);
  }

  /** @throws GatewayError overloaded (`concurrency_queue_full`) when nobody waits who is less urgent. */
  #makeRoom(priority: Priority): void {
    const waiting = [...this.#queues.values()].reduce((sum, queue) => sum + queue.size, 0);
    if (waiting < this.#options.maxQueue) return;
    const lessUrgent = priorities.slice(priorities.indexOf(priority) + 1).toReversed();
    for (const each of lessUrgent) {
      const last = [...(this.#queues.get(each) ?? [])].at(-1);
      if (last === undefined) continue;
      last.refuse(queueFull());
      return;
    }
    throw queueFull();
  }

  #setLimit(next: number): void {
    this.#limit = Math.min(this.#options.maxLimit, Math.max(this.#options.minLimit, next));
  }
}

interface Times {
  lately: number;
  usually: number;
}

const retryAfterMs = 1000;

function queueFull(): GatewayError {
  return new GatewayError('overloaded', 'Too many requests wait for this upstream.', {
    reason: 'concurrency_queue_full',
    retryAfterMs,
  });
}

function waitedTooLong(): GatewayError {
  return new GatewayError('overloaded', 'No place at this upstream became free in time.', {
    reason: 'concurrency_wait_too_long',
    retryAfterMs,
  });
}
