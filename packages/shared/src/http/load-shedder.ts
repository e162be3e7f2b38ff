import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { ServerConfig } from '../config/listen.ts';
import { GatewayError } from '../errors/gateway-error.ts';

type Limits = Pick<ServerConfig, 'max_requests_in_flight' | 'max_event_loop_delay_ms' | 'max_heap_ratio'>;

const sampleEveryMs = 500;
const retryAfterMs = 1000;

/**
 * Refuses new work while the process cannot do it in time: too many requests at once, an event loop that lags, a heap near
 * its limit. A refusal early costs a client one retry; one late costs every client its answer.
 */
export class LoadShedder {
  readonly #limits: Limits;
  readonly #delay = monitorEventLoopDelay({ resolution: 20 });
  readonly #timer: NodeJS.Timeout;
  #inFlight = 0;
  #overload: string | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#delay.enable();
    this.#timer = setInterval(() => this.#sample(), sampleEveryMs);
    this.#timer.unref();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** @throws GatewayError overloaded (`too_many_requests_in_flight`, `process_overloaded`). */
  admit(): void {
    if (this.#inFlight >= this.#limits.max_requests_in_flight) {
      throw new GatewayError('overloaded', 'Too many requests are in flight. Try again shortly.', {
        reason: 'too_many_requests_in_flight',
        retryAfterMs,
      });
    }
    if (this.#overload !== undefined) {
      throw new GatewayError(
        'overloaded',
        `The gateway is overloaded (${this.#overload}). Try again shortly.`,
        {
          reason: 'process_overloaded',
          retryAfterMs,
        },
      );
    }
    this.#inFlight++;
  }

  release(): void {
    this.#inFlight--;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#delay.disable();
  }

  #sample(): void {
    const delayMs = this.#delay.mean / 1e6;
    this.#delay.reset();
    const heap = getHeapStatistics();
    if (delayMs > this.#limits.max_event_loop_delay_ms) this.#overload = 'event loop delayed';
    else if (heap.used_heap_size > heap.heap_size_limit * this.#limits.max_heap_ratio)
      this.#overload = 'heap nearly full';
    else this.#overload = undefined;
  }
}
