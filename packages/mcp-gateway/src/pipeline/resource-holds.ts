import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { withSignal } from '../domain/with-signal.ts';

/** What a server said to being asked. */
export interface Told {
  readonly isRefused: boolean;
}

interface Held<Holder> {
  readonly holders: Set<Holder>;
  /** Whether the server tells it. */
  isConfirmed: boolean;
  /** Steps that have not ended. */
  steps: number;
  last: Promise<unknown>;
}

/**
 * Who wants to hear of which resource in one conversation, for all of whom the server is asked once. One step after the other for each
 * resource: whoever comes while another asks waits for what really comes of it, and nothing is taken back before it was given.
 */
export class ResourceHolds<Holder> {
  readonly #held = new Map<string, Held<Holder>>();

  get size(): number {
    return this.#held.size;
  }

  /** Those that the server tells. */
  confirmed(): string[] {
    return [...this.#held].filter(([, { isConfirmed }]) => isConfirmed).map(([uri]) => uri);
  }

  isHeldBy(uri: string, holder: Holder): boolean {
    const held = this.#held.get(uri);
    return held?.isConfirmed === true && held.holders.has(holder);
  }

  /** Those who hold it or what it is a part of: servers may report a part of what was subscribed to. */
  holdersOf(uri: string): Set<Holder> {
    const found = new Set<Holder>();
    for (const [name, { holders }] of this.#held) {
      if (uri.startsWith(name)) for (const holder of holders) found.add(holder);
    }
    return found;
  }

  /**
   * Resolves with the server's answer; with `undefined` where it was not asked, because it tells others already.
   * @throws what `ask` throws, or the signal's reason; then it is not held
   */
  hold<Answer extends Told>(
    uri: string,
    holder: Holder,
    { ask, signal }: { readonly ask: () => Promise<Answer>; readonly signal: StopSignal },
  ): Promise<Answer | undefined> {
    const step = this.#inTurn(uri, async held => {
      signal.throwIfAborted();
      const hasOthers = held.holders.size > (held.holders.has(holder) ? 1 : 0);
      held.holders.add(holder); // what is told together with the confirmation is heard as well
      if (held.isConfirmed && hasOthers) return undefined;
      try {
        const answer = await ask();
        if (answer.isRefused) this.#leave(held, holder);
        else held.isConfirmed = true;
        return answer;
      } catch (error) {
        this.#leave(held, holder);
        throw error;
      }
    });
    return withSignal(step, signal);
  }

  /** The last who leaves asks the server; `wasHeld`: whether that tells it. */
  release<Answer>(
    uri: string,
    holder: Holder,
    ask: (wasHeld: boolean) => Promise<Answer> | undefined,
  ): Promise<Answer | undefined> {
    return this.#inTurn(uri, async held => {
      const wasHeld = held.isConfirmed;
      this.#leave(held, holder);
      return held.holders.size > 0 ? undefined : ask(wasHeld);
    });
  }

  /** Held already, by word of a conversation before this one. */
  adopt(uri: string, holder: Holder): void {
    const held = this.#of(uri);
    held.holders.add(holder);
    held.isConfirmed = true;
  }

  /** A holder is gone. Resolves when the server was asked about all that nobody else holds. */
  async releaseAll(holder: Holder, ask: (uri: string) => Promise<unknown>): Promise<void> {
    const own = [...this.#held].filter(([, { holders }]) => holders.has(holder));
    await Promise.all(
      own.map(([uri]) => this.release(uri, holder, wasHeld => (wasHeld ? ask(uri) : undefined))),
    );
  }

  #inTurn<Result>(uri: string, step: (held: Held<Holder>) => Promise<Result>): Promise<Result> {
    const held = this.#of(uri);
    held.steps++;
    const done = held.last
      .then(() => step(held))
      .finally(() => {
        held.steps--;
        if (held.steps === 0 && held.holders.size === 0) this.#held.delete(uri);
      });
    held.last = done.catch(() => {}); // whoever made the step gets it
    return done;
  }

  #of(uri: string): Held<Holder> {
    let held = this.#held.get(uri);
    if (!held) {
      held = { holders: new Set(), isConfirmed: false, steps: 0, last: Promise.resolve() };
      this.#held.set(uri, held);
    }
    return held;
  }

  #leave(held: Held<Holder>, holder: Holder): void {
    held.holders.delete(holder);
    if (held.holders.size === 0) held.isConfirmed = false;
  }
}
