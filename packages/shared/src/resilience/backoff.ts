export interface BackoffOptions {
  /** The first wait is at most this long. */
  readonly baseMs: number;
  /** No wait is longer. */
  readonly capMs: number;
}

/** As the AWS SDKs wait: short after a failure, longer after being throttled. */
export const afterFailure: BackoffOptions = { baseMs: 100, capMs: 20_000 };
export const afterThrottling: BackoffOptions = { baseMs: 500, capMs: 20_000 };

/**
 * How long to wait before the retry with this number (1, 2, …): anything up to the doubled bound, so that callers that failed together do
 * not come back together ("full jitter").
 */
export function backoffMs(
  retry: number,
  options: BackoffOptions,
  random: () => number = Math.random,
): number {
  const bound = Math.min(options.capMs, options.baseMs * 2 ** Math.min(retry - 1, 30));
  return random() * bound;
}
