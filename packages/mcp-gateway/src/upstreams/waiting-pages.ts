type Params = Readonly<Record<string, string>>;

const maxWaiting = 100;

/**
 * Calls whose client went to open a page and will make the call again: what the repeated call goes on with at its server. What is
 * forgotten costs a person the page once more, nothing else.
 */
export class WaitingPages {
  readonly #waiting = new Map<string, Params>();

  set(digest: string, goOnWith: Params): void {
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size >= maxWaiting && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.set(digest, goOnWith);
  }

  take(digest: string): Params | undefined {
    const goOnWith = this.#waiting.get(digest);
    this.#waiting.delete(digest);
    return goOnWith;
  }
}
