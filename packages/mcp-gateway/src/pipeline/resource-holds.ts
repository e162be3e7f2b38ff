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
  /** Whether it may tell it: it was asked, and its answer was not heard. */
  isDoubtful: boolean;
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
  readonly #takeBack: (uri: string) => Promise<unknown>;
  readonly #isOpen: () => boolean;

  /**
   * @param takeBack tells the server that nobody wants to hear of it; takes no longer than a call.
   * @param isOpen whether the conversation is open: in one that is not, nothing is told that was not confirmed before.
   */
  constructor(takeBack: (uri: string) => Promise<unknown>, isOpen: () => boolean = () => true) {
    this.#takeBack = takeBack;
    this.#isOpen = isOpen;
  }

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
   * @throws what `ask` throws, or the signal's reason; then it is held only by who held it before
   */
  hold<Answer extends Told>(
    uri: string,
    holder: Holder,
    { ask, signal }: { readonly ask: () => Promise<Answer>; readonly signal: StopSignal },
  ): Promise<Answer | undefined> {
    const step = this.#inTurn(uri, async held => {
      signal.throwIfAborted();
      const hadIt = held.isConfirmed && held.holders.has(holder);
      const hasOthers = held.holders.size > (held.holders.has(holder) ? 1 : 0);
      held.holders.add(holder); // what is told together with the confirmation is heard as well
      if (held.isConfirmed && hasOthers) return undefined;
      try {
        const answer = await ask();
        if (answer.isRefused) this.#leave(held, holder);
        else [held.isConfirmed, held.isDoubtful] = [true, false];
        return answer;
      } catch (error) {
        if (!hadIt) this.#leave(held, holder);
        held.isDoubtful = !held.isConfirmed && this.#isOpen();
        throw error;
      }
    });
    return withSignal(step, signal);
  }

  /**
   * The last who leaves asks the server; `wasHeld`: whether that tells it, or may. Whoever gives up waiting has left all the same, in turn.
   * @throws what `ask` throws, or the signal's reason
   */
  release<Answer>(
    uri: string,
    holder: Holder,
    { ask, signal }: { readonly ask: (wasHeld: boolean) => Promise<Answer>; readonly signal: StopSignal },
  ): Promise<Answer | undefined> {
    const step = this.#leaveInTurn(uri, holder, wasHeld => {
      if (!signal.aborted) return ask(wasHeld);
      return wasHeld ? this.#takeBack(uri).then(() => undefined) : Promise.resolve(undefined);
    });
    return withSignal(step, signal);
  }

  /** Takes it back from the server where nobody else holds it. @throws what that throws */
  async drop(uri: string, holder: Holder): Promise<void> {
    await this.#leaveInTurn(uri, holder, async wasHeld => {
      if (wasHeld) await this.#takeBack(uri);
    });
  }

  /** Held already, by word of a conversation before this one. */
  adopt(uri: string, holder: Holder): void {
    const held = this.#of(uri);
    held.holders.add(holder);
    held.isConfirmed = true;
  }

  /** A holder is gone. Resolves when the server was asked about all that nobody else holds. */
  async dropAll(holder: Holder): Promise<void> {
    const own = [...this.#held].filter(([, { holders }]) => holders.has(holder));
    await Promise.all(own.map(([uri]) => this.drop(uri, holder)));
  }

  #leaveInTurn<Answer>(
    uri: string,
    holder: Holder,
    ask: (wasHeld: boolean) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    return this.#inTurn(uri, async held => {
      const wasHeld = held.isConfirmed || held.isDoubtful;
      this.#leave(held, holder);
      if (held.holders.size > 0) return undefined;
      held.isDoubtful = false;
      return ask(wasHeld);
    });
  }

  #inTurn<Result>(uri: string, step: (held: Held<Holder>) => Promise<Result>): Promise<Result> {
    const held = this.#of(uri);
    held.steps++;
    const done = held.last
      .then(() => step(held))
      .finally(() => {
        held.steps--;
        if (held.steps === 0 && held.holders.size === 0) this.#end(uri, held);
      });
    held.last = done.catch(() => {}); // whoever made the step gets it
    return done;
  }

  /** Nobody waits, and nobody holds it. */
  #end(uri: string, held: Held<Holder>): void {
    if (!held.isDoubtful) return void this.#held.delete(uri);
    held.isDoubtful = false;
    this.#inTurn(uri, () => this.#takeBack(uri)).catch(() => {}); // what cannot be reached tells nothing
  }

  #of(uri: string): Held<Holder> {
    let held = this.#held.get(uri);
    if (!held) {
      held = { holders: new Set(), isConfirmed: false, isDoubtful: false, steps: 0, last: Promise.resolve() };
      this.#held.set(uri, held);
    }
    return held;
  }

  #leave(held: Held<Holder>, holder: Holder): void {
    held.holders.delete(holder);
    if (held.holders.size === 0) held.isConfirmed = false;
  }
}
