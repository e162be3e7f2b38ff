import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';

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

export type Outcome = 'ok' | 'overloaded';

interface Waiting {
  readonly admit: () => void;
}

/** Shares of the queue that build up before the limit falls, in units of requests (Vegas's alpha and beta). */
const growBelow = 3;
const shrinkAbove = 6;
const shrinkFactor = 0.9;
/** After so many outcomes for each place the far end is measured anew: what was fast once may not be possible any more. */
const outcomesPerMeasure = 30;

/**
 * Finds out how much a far end can take at once. As in TCP Vegas, the time of the fastest answers says how long it takes without a queue; what
 * is slower than that has been queueing over there, and the limit falls until the queue is short. An overload answer cuts it at once.
 */
export class AdaptiveConcurrency {
  readonly #options: ConcurrencyOptions;
  readonly #clock: Clock;
  readonly #queues = new Map<Priority, Set<Waiting>>(priorities.map(priority => [priority, new Set()]));
  #limit: number;
  #inFlight = 0;
  #fastestMs = Number.POSITIVE_INFINITY;
  #outcomes = 0;

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

  /**
   * Waits for a place. Call the returned function when the work has its outcome.
   *
   * @throws GatewayError overloaded (`concurrency_queue_full`, `concurrency_wait_too_long`), or the signal's reason.
   */
  async enter(priority: Priority, signal: AbortSignal): Promise<(outcome: Outcome) => void> {
    if (signal.aborted) throw signal.reason;
    if (this.#inFlight >= this.limit) await this.#wait(priority, signal);
    else this.#inFlight++;
    const startedAt = this.#clock.monotonic();
    let isDone = false;
    return outcome => {
      if (isDone) return;
      isDone = true;
      this.#learn(outcome, this.#clock.monotonic() - startedAt);
      this.#inFlight--;
      this.#admitWaiting();
    };
  }

  #wait(priority: Priority, signal: AbortSignal): Promise<void> {
    const waiting = [...this.#queues.values()].reduce((sum, queue) => sum + queue.size, 0);
    const queue = this.#queues.get(priority) ?? new Set();
    if (waiting >= this.#options.maxQueue) {
      throw new GatewayError('overloaded', 'Too many requests wait for this upstream.', {
        reason: 'concurrency_queue_full',
        retryAfterMs: 1000,
      });
    }
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
      };
      const onAbort = () => {
        leave();
        reject(signal.reason);
      };
      const timer = this.#clock.schedule(this.#options.maxWaitMs, () => {
        leave();
        reject(
          new GatewayError('overloaded', 'No place at this upstream became free in time.', {
            reason: 'concurrency_wait_too_long',
            retryAfterMs: 1000,
          }),
        );
      });
      signal.addEventListener('abort', onAbort, { once: true });
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

  #learn(outcome: Outcome, tookMs: number): void {
    if (outcome === 'overloaded') {
      this.#setLimit(this.#limit * shrinkFactor);
      return;
    }
    this.#outcomes++;
    if (this.#outcomes > outcomesPerMeasure * this.limit) {
      this.#outcomes = 0;
      this.#fastestMs = Number.POSITIVE_INFINITY;
    }
    this.#fastestMs = Math.min(this.#fastestMs, Math.max(tookMs, 0.01));
    const queued = this.limit * (1 - this.#fastestMs / Math.max(tookMs, 0.01));
    const isUsed = this.#inFlight * 2 >= this.limit; // a limit that is not reached proves nothing
    if (queued < growBelow && isUsed) this.#setLimit(this.#limit + 1);
    else if (queued > shrinkAbove) this.#setLimit(this.#limit - 1);
  }

  #setLimit(next: number): void {
    this.#limit = Math.min(this.#options.maxLimit, Math.max(this.#options.minLimit, next));
  }
}
