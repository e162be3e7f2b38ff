import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Caller } from '../identity/caller.ts';
import type { LiveCall, LiveCalls } from '../identity/live-calls.ts';
import type { InFlightSet, Place } from '../in-flight.ts';
import { Stopper, type StopSignal } from '../resilience/stop-signal.ts';

/** Time to say in the protocol of the route why an answer ends. */
const lastWordsMs = 300;

/** What the lives of a server's requests share. */
export interface LifeDeps {
  readonly live: LiveCalls;
  readonly clock: Clock;
  /** Those whose end somebody waits for. */
  readonly watched: InFlightSet<RequestLife>;
}

/**
 * One request from its head to the end of its answer: it ends by itself, with its client, or with the key, principal or run that it is for.
 */
export class RequestLife implements LiveCall {
  readonly #response: ServerResponse;
  readonly #deps: LifeDeps;
  #caller: Caller | undefined;
  #end: Stopper | undefined;
  #signal: AbortSignal | undefined;
  #stopped: GatewayError | undefined;
  #live: Place | undefined;
  #watched: Place | undefined;

  constructor(response: ServerResponse, deps: LifeDeps) {
    this.#response = response;
    this.#deps = deps;
  }

  get caller(): Caller {
    if (this.#caller === undefined) throw new Error('Nobody is known to be behind this request yet');
    return this.#caller;
  }

  /** From now on it can be stopped with its caller's key, principal or run; what is unfinished a moment after that is cut. */
  follow(caller: Caller): void {
    this.#caller = caller;
    if (this.#response.destroyed || this.#response.closed) return;
    this.#live = this.#deps.live.add(this);
  }

  /** Fires before the answer is complete or never: with the client, with the reason of `abort`, or at the end of the drain. */
  get end(): StopSignal {
    if (this.#end !== undefined) return this.#end;
    const end = new Stopper();
    this.#end = end;
    if (this.#stopped !== undefined) end.stop(this.#stopped);
    else if (!this.#response.destroyed && !this.#response.closed)
      this.#watched = this.#deps.watched.add(this);
    else if (!this.#response.writableFinished) end.stop(clientGone());
    return end;
  }

  /** The same for who needs one of the platform's. */
  get signal(): AbortSignal {
    if (this.#signal !== undefined) return this.#signal;
    const controller = new AbortController();
    this.#signal = controller.signal;
    const { end } = this;
    if (end.aborted) controller.abort(end.reason);
    else end.addEventListener('abort', () => controller.abort(end.reason));
    return this.#signal;
  }

  abort(reason: GatewayError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#end?.stop(reason);
    this.#deps.clock.schedule(lastWordsMs, () => {
      if (!this.#response.closed) this.#response.destroy();
    });
  }

  /** The drain is over: whoever still answers says so in its own protocol. */
  lastCall(reason: GatewayError): void {
    this.#end?.stop(reason);
  }

  /** To be told when the response has closed. */
  closed(): void {
    this.#live?.leave();
    this.#watched?.leave();
    if (!this.#response.writableFinished) this.#end?.stop(clientGone());
  }
}

export function clientGone(): GatewayError {
  return new GatewayError('cancelled', 'The client closed the connection.', { reason: 'client_gone' });
}
