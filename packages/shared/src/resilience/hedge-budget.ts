/** What a share is counted in, so that twenty twentieths are one. */
const whole = 1_000_000;
/** Requests that may be asked twice in a row after a time in which none was. */
const maxBurst = 10;
const maxKeys = 10_000;

/**
 * Bounds second attempts to a share of the requests over time: each request adds its share, each second attempt takes one.
 * ("The Tail at Scale": what is asked twice after the 95th percentile costs a twentieth more at most.)
 */
export class HedgeBudget {
  readonly #left = new Map<string, number>();

  /** A request came that may be asked twice. `share`: from 0 to 1. */
  asked(key: string, share: number): void {
    const [oldest] = this.#left.keys();
    if (this.#left.size >= maxKeys && !this.#left.has(key) && oldest !== undefined) this.#left.delete(oldest);
    const left = this.#left.get(key) ?? whole;
    this.#left.set(key, Math.min(maxBurst * whole, left + Math.round(share * whole)));
  }

  /** Leave for one second attempt. */
  tryHedge(key: string): boolean {
    const left = this.#left.get(key) ?? 0;
    if (left < whole) return false;
    this.#left.set(key, left - whole);
    return true;
  }
}
