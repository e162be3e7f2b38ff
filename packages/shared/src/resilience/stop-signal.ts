/** What is called when something is stopped, once. */
export type StopListener = (() => void) | { handleEvent(): void };

/** What the gateways use of an `AbortSignal`, which is one of these too. */
export interface StopSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  /** @throws its reason. */
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: StopListener): void;
  removeEventListener(type: 'abort', listener: StopListener): void;
}

/**
 * An `AbortController` and its signal in one, for the ends that every request has several of and hardly any request meets: Node's are events with
 * all that belongs to those, and cost a short request as much as reading its body.
 */
export class Stopper implements StopSignal {
  #listeners: StopListener[] = [];
  #isStopped = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#isStopped;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#isStopped) throw this.#reason;
  }

  /** Listeners are told at once, each once, in the order in which they came. Only the first call does anything. */
  stop(reason: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    while (listeners.length > 0) {
      const listener = listeners.shift();
      if (typeof listener === 'function') listener();
      else listener?.handleEvent();
    }
  }

  /** One that comes after the end is told nothing. */
  addEventListener(_type: 'abort', listener: StopListener): void {
    if (!this.#isStopped && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: StopListener): void {
    const listeners = this.#listeners;
    const at = listeners.indexOf(listener);
    if (at === -1) return;
    if (at === listeners.length - 1)
      listeners.pop(); // most leave in the order opposite to that in which they came
    else listeners.splice(at, 1);
  }
}
