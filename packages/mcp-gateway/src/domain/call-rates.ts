/**
 * So many calls a minute for each key, at most a minute's worth at once (GCRA: one number a key). Keys that have nothing to wait for are
 * forgotten, those unused for longest first.
 */
export class CallRates {
  /** When the next call would come that is on time. */
  readonly #dueMs = new Map<string, number>();
  readonly #maxKeys: number;

  constructor(maxKeys = 100_000) {
    this.#maxKeys = maxKeys;
  }

  /** Takes one call. How long to wait instead, ms; 0 when it was taken. Times are of a monotonic clock. */
  take(key: string, perMinute: number, nowMs: number): number {
    const intervalMs = 60_000 / perMinute;
    const dueMs = Math.max(nowMs, this.#dueMs.get(key) ?? 0);
    const waitMs = dueMs + intervalMs - nowMs - 60_000;
    if (waitMs > 0) return Math.ceil(waitMs);
    this.#dueMs.delete(key);
    const [oldest] = this.#dueMs.keys();
    if (this.#dueMs.size >= this.#maxKeys && oldest !== undefined) this.#dueMs.delete(oldest);
    this.#dueMs.set(key, dueMs + intervalMs);
    return 0;
  }
}
