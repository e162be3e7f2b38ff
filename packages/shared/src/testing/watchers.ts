/** Promises for a state to come, checked after every change. */
export class Watchers<State> {
  readonly #waiting = new Set<{ readonly check: () => boolean; readonly giveUp: () => void }>();
  readonly #owner: string;
  #closed = false;

  /** `owner` begins the sentence that a wait fails with. */
  constructor(owner: string) {
    this.#owner = owner;
  }

  until(state: State, condition: (state: State) => boolean, what: string): Promise<State> {
    if (condition(state)) return Promise.resolve(state);
    const gaveUp = () => new Error(`${this.#owner} was closed while a test waited for ${what}`);
    if (this.#closed) return Promise.reject(gaveUp());
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition(state)) return false;
        resolve(state);
        return true;
      };
      this.#waiting.add({ check, giveUp: () => reject(gaveUp()) });
    });
  }

  changed(): void {
    for (const waiting of this.#waiting) {
      if (waiting.check()) this.#waiting.delete(waiting);
    }
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.giveUp();
    this.#waiting.clear();
  }
}
