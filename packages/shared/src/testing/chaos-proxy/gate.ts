/** Lets pass while open. */
export class Gate {
  #opening: PromiseWithResolvers<void> | undefined;

  close(): void {
    this.#opening ??= Promise.withResolvers();
  }

  open(): void {
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  /** `undefined` when open; else resolves when it opens, or when the signal aborts and nobody needs to pass. */
  passing(signal: AbortSignal): Promise<void> | undefined {
    if (!this.#opening || signal.aborted) return undefined;
    const { promise } = this.#opening;
    return new Promise(resolve => {
      const pass = () => {
        signal.removeEventListener('abort', pass);
        resolve();
      };
      signal.addEventListener('abort', pass, { once: true });
      promise.then(pass);
    });
  }
}
