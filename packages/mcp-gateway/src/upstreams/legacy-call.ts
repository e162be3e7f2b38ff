import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { CallEvents, Channel, ForwardedCall, ForwardedHandle } from '../domain/upstream.ts';
import { renderNotification } from '../wire/render.ts';
import { asInputRequired } from '../wire/url-elicitation.ts';
import type { Connection, Pending } from './connection.ts';
import { inputRefused, missingCapability } from './input-errors.ts';

/** The conversation that a call is part of. */
export interface CallHost {
  readonly channel: Channel;
  readonly canOpenPages: boolean;
  /** The conversation of this connection is lost; opens another one. @throws GatewayError */
  reopen(lost: Connection): Promise<Connection>;
  lostError(): GatewayError;
  /** Finds out whether a server that was too slow still lives. */
  suspect(connection: Connection): void;
}

/** One call to a server of the sessions era. It is made again only when the server refused to look at it. */
export class LegacyCall implements Pending, ForwardedHandle {
  readonly isForwarded = true;
  readonly #call: ForwardedCall;
  readonly #events: CallEvents;
  readonly #host: CallHost;
  #connection: Connection | undefined;
  #id = 0;
  #isRepeat = false;
  #isOver = false;

  constructor(call: ForwardedCall, events: CallEvents, host: CallHost) {
    this.#call = call;
    this.#events = events;
    this.#host = host;
  }

  start(connection: Connection | undefined): void {
    if (this.#call.isInputRefused) this.onFailure(inputRefused());
    else if (connection === undefined) this.onFailure(this.#host.lostError());
    else this.#send(connection);
  }

  cancel(reason: string, isSuspect: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const connection = this.#connection;
    if (!connection?.abandon(this.#id)) return;
    connection.transport.send(
      renderNotification('notifications/cancelled', { requestId: this.#id, reason }),
      undefined,
    );
    if (isSuspect) this.#host.suspect(connection);
  }

  get progressToken(): string | undefined {
    return this.#call.progressToken;
  }

  onNotification(method: string, bytes: Buffer): void {
    this.#events.onNotification(method, bytes);
  }

  onRequest(frame: RequestFrame): void {
    this.#events.onRequest(this.#host.channel, frame);
  }

  onPaused(): void {
    this.#events.onPaused();
  }

  onAnswer(frame: ResponseFrame): void {
    this.#isOver = true;
    const questions = this.#call.takesInputRequired ? asInputRequired(frame) : undefined;
    if (!questions) this.#events.onAnswer(frame);
    else if (this.#host.canOpenPages) this.#events.onAnswer(questions);
    else this.#events.onAnswer(missingCapability(frame, { elicitation: { url: {} } }));
  }

  onFailure(error: GatewayError): void {
    if (!this.#isOver) this.#events.onFailure(error);
    this.#isOver = true;
  }

  onSessionLost(): void {
    if (this.#isRepeat || this.#connection === undefined) {
      this.onFailure(this.#host.lostError());
      return;
    }
    this.#isRepeat = true;
    this.#host.reopen(this.#connection).then(
      again => {
        if (!this.#isOver) this.#send(again);
      },
      (error: unknown) => this.onFailure(GatewayError.from(error)),
    );
  }

  #send(connection: Connection): void {
    this.#connection = connection;
    this.#id = connection.send(id => this.#call.render(id, noForm), this);
  }
}

const noForm = {};
