import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Upstream } from '../domain/upstream.ts';
import { mayBeTold } from './may-call.ts';
import type { DispatchDeps } from './request.ts';

/**
 * Who reads what servers say to a session outside its calls. A session belongs to a principal, who may have several keys: what is told is
 * what the key that reads may hear, as it is at that moment.
 */
export class SessionReader {
  readonly #policy: DispatchDeps['policy'];
  #caller: Caller | undefined;

  constructor(policy: DispatchDeps['policy']) {
    this.#policy = policy;
  }

  /** This key opens the stream, or has changed. */
  isNow(caller: Caller): void {
    this.#caller = caller;
  }

  /** Somebody uses the session: the same key may have changed, and the first after another replica reads until somebody opens the stream. */
  spoke(caller: Caller): void {
    const { keyId } = caller; // undefined of a token: two of them need not allow the same
    if (this.#caller === undefined || (keyId !== undefined && keyId === this.#caller.keyId))
      this.#caller = caller;
  }

  may(upstream: Upstream, operation: string): boolean {
    return this.#caller !== undefined && mayBeTold(this.#caller, this.#policy, { upstream, operation });
  }
}
