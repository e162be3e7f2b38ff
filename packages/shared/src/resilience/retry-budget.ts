export interface RetryBudgetOptions {
  /** Retries in flight may be this share of the requests in flight. */
  readonly ratio: number;
  /** … but always at least this many. */
  readonly minimum: number;
}

export const defaultRetryBudget: RetryBudgetOptions = { ratio: 0.2, minimum: 3 };

/**
 * Bounds retries by what is under way, not by a count per request: when everything fails, a count multiplies the load just when the far
 * end can bear it least. A share of the active requests cannot (Envoy's retry budget; its defaults are ours).
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #active = 0;
  #retrying = 0;

  constructor(options: RetryBudgetOptions = defaultRetryBudget) {
    this.#options = options;
  }

  /** A request begins. Call the returned function when it ends, once. */
  begin(): () => void {
    this.#active++;
    return once(() => {
      this.#active--;
    });
  }

  /** Leave for one retry, to be given back when that retry has its outcome; undefined when there is none. */
  tryRetry(): (() => void) | undefined {
    if (this.#retrying >= Math.max(this.#options.minimum, this.#active * this.#options.ratio))
      return undefined;
    this.#retrying++;
    return once(() => {
      this.#retrying--;
    });
  }

  get retrying(): number {
    return this.#retrying;
  }
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
