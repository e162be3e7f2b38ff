import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Era } from '../domain/protocol-versions.ts';

/** How bytes reach one tool server and come back. One transport is one connection's life: opened once, closed once. */
export interface Transport {
  /** Starts the process, or does nothing where there is nothing to start. @throws GatewayError upstream_failed */
  start(): Promise<void>;
  /**
   * Sends one message. `request`: the channel's id, when the message expects an answer. `headers` repeat parts of it where
   * the transport has headers.
   */
  send(bytes: Buffer, request: number | undefined, headers?: Readonly<Record<string, string>>): void;
  /** Nobody waits for this answer any more. */
  abandon(request: number): void;
  /** The handshake is done: from now on the server may be listened to beyond answers. */
  opened(protocolVersion: string): void;
  /** Where the server decides about it: whether it has given this connection a session. */
  readonly hasSession?: boolean;
  /** Over HTTP: whether a stream is refused for want of a session. One without sessions opens it, or knows POST alone. */
  wantsSession?(signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

/** What a transport reports. After `onClosed` it reports nothing. */
export interface TransportEvents {
  /** One message. `request`: the id of the request on whose own response stream it came, where the transport knows. */
  onMessage(bytes: Buffer, request: number | undefined): void;
  /** The server closed the request's own stream in order, before the answer; it is asked for the rest. */
  onPaused(request: number): void;
  onRequestFailed(request: number, error: GatewayError): void;
  /** The server does not know our session any more and did not execute this request. */
  onSessionLost(request: number): void;
  onClosed(error: GatewayError): void;
  /** Whether somebody still waits for the answer. */
  isWaiting(request: number): boolean;
}

/** Makes transports to one server, and owns what they share. */
export interface TransportFactory {
  readonly kind: 'pipe' | 'tcp';
  /** Which era the server speaks; `auto` when it has to be asked. */
  readonly era: Era | 'both' | 'auto';
  /** What the server is shown that its messages must not repeat, in the forms of headers. */
  readonly credentials: readonly string[];
  /** `session`: whose conversation it is; the same for one that is opened again. */
  create(events: TransportEvents, era: Era, session: object): Transport;
  /** Closes every transport that is still open. */
  close(): Promise<void>;
}

/** Ends a message for which nobody waits any more: nobody is told. */
export function givenUp(): Error {
  return new Error('Nobody waits for the answer any more');
}
