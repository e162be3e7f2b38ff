export interface RetryQuotaOptions {
  readonly capacity: number;
  /** Taken for a retry after a failure. */
  readonly failureCost: number;
  /** Taken for a retry after a timeout or a refusal for load: those ask for more restraint. */
  readonly throttleCost: number;
  /** Given back by each success that needed no retry; one that did gives back what the retry took. */
  readonly successGain: number;
}

/** As the AWS SDKs keep it. */
export const defaultRetryQuota: RetryQuotaOptions = {
  capacity: 500,
  failureCost: 5,
  throttleCost: 10,
  successGain: 1,
};

const maxKeys = 10_000;

/**
 * Bounds retries over time, as a retry budget bounds them at one moment: a far end that keeps failing uses up the quota of its
 * key, and only successes fill it again. A key that is not known has a full quota; the one unused for longest is forgotten.
 */
export class RetryQuota {
  readonly #options: RetryQuotaOptions;
  readonly #left = new Map<string, number>();

  constructor(options: RetryQuotaOptions = defaultRetryQuota) {
    this.#options = options;
  }

  /** Takes what one retry costs. The cost is to be handed to `succeeded` if that retry succeeds; undefined: no retry. */
  tryRetry(key: string, after: 'failure' | 'throttle'): number | undefined {
    const cost = after === 'failure' ? this.#options.failureCost : this.#options.throttleCost;
    const left = this.left(key);
    if (left < cost) return undefined;
    this.#set(key, left - cost);
    return cost;
  }

  succeeded(key: string, retryCost?: number): void {
    if (!this.#left.has(key)) return;
    this.#set(key, this.left(key) + (retryCost ?? this.#options.successGain));
  }

  left(key: string): number {
    return this.#left.get(key) ?? this.#options.capacity;
  }

  #set(key: string, left: number): void {
    this.#left.delete(key);
    if (left >= this.#options.capacity) return;
    if (this.#left.size >= maxKeys) this.#left.delete(this.#left.keys().next().value ?? '');
    this.#left.set(key, left);
  }
}
