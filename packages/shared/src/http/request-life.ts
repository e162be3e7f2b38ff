import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Caller } from '../identity/caller.ts';
import type { LiveCall, LiveCalls } from '../identity/live-calls.ts';

/** Time to say in the protocol of the route why an answer ends. */
const lastWordsMs = 300;

/** What the lives of a server's requests share. */
export interface LifeDeps {
  readonly live: LiveCalls;
  readonly clock: Clock;
  /** Those whose end somebody waits for. */
  readonly watched: Set<RequestLife>;
}

/**
 * One request from its head to the end of its answer: it ends by itself, with its client, or with the key, principal or run that it is for.
 */
export class RequestLife implements LiveCall {
  readonly #response: ServerResponse;
  readonly #deps: LifeDeps;
  #caller: Caller | undefined;
  #controller: AbortController | undefined;
  #stopped: GatewayError | undefined;
  #leave: (() => void) | undefined;

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
    this.#leave = this.#deps.live.add(this);
  }

  /** Fires before the answer is complete or never: with the client, with the reason of `abort`, or at the end of the drain. */
  get gone(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    if (this.#stopped !== undefined) controller.abort(this.#stopped);
    else if (!this.#response.destroyed && !this.#response.closed) this.#deps.watched.add(this);
    else if (!this.#response.writableFinished) controller.abort(clientGone());
    return controller.signal;
  }

  abort(reason: GatewayError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#controller?.abort(reason);
    this.#deps.clock.schedule(lastWordsMs, () => {
      if (!this.#response.closed) this.#response.destroy();
    });
  }

  /** The drain is over: whoever still answers says so in its own protocol. */
  lastCall(reason: GatewayError): void {
    this.#controller?.abort(reason);
  }

  /** To be told when the response has closed. */
  closed(): void {
    this.#leave?.();
    if (this.#controller === undefined) return;
    this.#deps.watched.delete(this);
    if (!this.#response.writableFinished) this.#controller.abort(clientGone());
  }
}

export function clientGone(): GatewayError {
  return new GatewayError('cancelled', 'The client closed the connection.', { reason: 'client_gone' });
}
