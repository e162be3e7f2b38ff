import type { GatewayError } from '../errors/gateway-error.ts';
import { InFlightSet, type Place } from '../in-flight.ts';
import type { Caller } from './caller.ts';
import type { Envelope } from './envelope.ts';

/** Something that goes on for somebody and can be stopped. */
export interface LiveCall {
  /** `envelope.runId` says for which run. */
  readonly caller: LiveCaller;
  abort(reason: GatewayError): void;
  /** The key is another now, or may be: for what goes on for so long that it has to follow what the key allows. */
  onKeyChanged?(caller: Caller): void;
}

export interface LiveCaller extends Pick<Caller, 'tenant' | 'principal' | 'keyId'> {
  readonly envelope?: Pick<Envelope, 'runId' | 'isForeign'> | undefined;
}

/**
 * What goes on at the moment and for whom, in this process. The server adds every request; whoever goes on after its request has ended
 * adds that.
 */
export class LiveCalls {
  readonly #calls = new InFlightSet<LiveCall>();

  /** To be left when it is over. */
  add(call: LiveCall): Place {
    return this.#calls.add(call);
  }

  /** Who has something going on, each key once, and each principal without a key. */
  callers(): LiveCaller[] {
    const found = new Map<string, LiveCaller>();
    for (const { caller } of this.#calls) found.set(identityOf(caller), caller);
    return [...found.values()];
  }

  /** Stops what the key, or the principal without a key, has going on. */
  abortCaller(stopped: LiveCaller, reason: GatewayError): void {
    const wanted = identityOf(stopped);
    this.#abort(caller => identityOf(caller) === wanted, reason);
  }

  /** Keys that something follows. */
  followedKeys(): Set<string> {
    const followed = new Set<string>();
    for (const { caller, onKeyChanged } of this.#calls)
      if (onKeyChanged && caller.keyId !== undefined) followed.add(caller.keyId);
    return followed;
  }

  /** Tells those who follow one of these keys what its caller is now. */
  tellChanges(now: ReadonlyMap<string, Caller>): void {
    for (const call of this.#calls) {
      const caller = call.onKeyChanged && now.get(call.caller.keyId ?? '');
      if (caller !== undefined) call.onKeyChanged?.(caller);
    }
  }

  abortRun(tenant: string, runId: string, reason: GatewayError): void {
    this.#abort(caller => caller.tenant === tenant && caller.envelope?.runId === runId, reason);
  }

  get size(): number {
    return this.#calls.size;
  }

  #abort(isMeant: (caller: LiveCaller) => boolean, reason: GatewayError): void {
    for (const call of this.#calls) if (isMeant(call.caller)) call.abort(reason);
  }
}

function identityOf({ tenant, principal, keyId }: LiveCaller): string {
  return keyId ?? JSON.stringify([tenant, principal]);
}
