import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** As many as may wait for a slow reader. */
const maxHeld = 20_000;

/** What happens before a stream begins, which is told behind its first message. */
export class HeldMessages {
  readonly #send: (message: string) => void;
  #held: string[] | undefined = [];
  #isTooMuch = false;

  constructor(send: (message: string) => void) {
    this.#send = send;
  }

  tell(message: string): void {
    if (this.#held === undefined) this.#send(message);
    else if (this.#held.length < maxHeld) this.#held.push(message);
    else this.#isTooMuch = true;
  }

  /** @throws GatewayError overloaded (`too_many_changes`) when not everything could be held */
  begin(first: string): void {
    const held = this.#held ?? [];
    if (this.#isTooMuch) {
      throw new GatewayError('overloaded', 'Too much happened before the servers had confirmed.', {
        reason: 'too_many_changes',
        retryAfterMs: 1000,
      });
    }
    this.#held = undefined;
    this.#send(first);
    for (const message of held) this.#send(message);
  }
}
