import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { Stopper, type StopSignal } from './stop-signal.ts';

export interface Deadline {
  /** Aborts at the deadline with a `timeout` error, or with its parent for the parent's reason. */
  readonly signal: StopSignal;
  /** Never negative. */
  remainingMs(): number;
  /** Was met: from now on only the parent ends it. */
  lift(): void;
  /** Forgets timer and parent. Call it when the work is done. */
  close(): void;
}

interface DeadlineOptions {
  readonly clock: Clock;
  readonly ms: number;
  readonly reason: string;
  readonly parent?: StopSignal;
}

/** An end to a piece of work, on the clock that never goes back. A parent's end is never outlived. */
export function createDeadline(options: DeadlineOptions): Deadline {
  return new TimedEnd(options);
}

/** One object for what every request has several of: the signal, its timer and its listener. */
class TimedEnd extends Stopper implements Deadline {
  readonly #options: DeadlineOptions;
  readonly #endsAtMs: number;
  readonly #timer: Scheduled;

  constructor(options: DeadlineOptions) {
    super();
    const { clock, ms, reason, parent } = options;
    this.#options = options;
    this.#endsAtMs = clock.monotonic() + ms;
    this.#timer = clock.schedule(ms, () =>
      this.stop(new GatewayError('timeout', `This took longer than ${ms} ms.`, { reason })),
    );
    if (parent?.aborted) this.handleEvent();
    parent?.addEventListener('abort', this);
  }

  get signal(): StopSignal {
    return this;
  }

  /** Of the parent. */
  handleEvent(): void {
    this.stop(this.#options.parent?.reason);
  }

  remainingMs(): number {
    return Math.max(0, this.#endsAtMs - this.#options.clock.monotonic());
  }

  lift(): void {
    this.#timer.cancel();
  }

  close(): void {
    this.#timer.cancel();
    this.#options.parent?.removeEventListener('abort', this);
  }
}
