import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Stopper } from '@strata/shared/resilience/stop-signal.ts';

/** Where the messages of one HTTP request go once it is answered with a stream. */
export interface MessageStream {
  /** Adds a message (one line of JSON). One that `mayBeLost` is left out when the reader cannot keep up. */
  append(message: string, mayBeLost?: boolean): void;
  /** No more messages. */
  finish(): void;
  /** Ends the connection, but not the stream, where the client can come back for the rest. */
  pause?(): void;
}

/** What can bring a message to the client while a call of it runs. */
export interface Carrier {
  readonly canCarryMessages: boolean;
  emit(message: Buffer, mayBeLost: boolean): boolean;
  /** Headers of the answer; too late once it is under way. Absent where it has no head of its own. */
  addHeaders?(headers: Readonly<Record<string, string>>): void;
  /** The server has closed its own stream for now; absent where that means nothing. */
  pause?(): void;
}

/** What an HTTP request gets: one body, or a stream of events that ends with the answer. */
export type ExchangeReply<Stream extends MessageStream> =
  | { readonly type: 'json'; readonly body: Buffer }
  | { readonly type: 'stream'; readonly stream: Stream }
  /** Everything that was asked has been cancelled: there is nothing to say. */
  | { readonly type: 'nothing' };

export interface ExchangeOptions<Stream extends MessageStream> {
  /** How many requests the HTTP request carries; more than one in a batch. */
  readonly requests: number;
  readonly isBatch: boolean;
  readonly mayStream: boolean;
  /** Whether a stream of it may be closed for a while: its client knows how to come back. */
  readonly mayPause?: boolean;
  /** Opens the exchange's stream: one that can be resumed in a session, or the response itself. */
  readonly openStream: () => Stream;
}

type State =
  | { readonly status: 'waiting'; readonly answers: Buffer[] }
  | { readonly status: 'streaming'; readonly stream: MessageStream }
  | { readonly status: 'done' };

/**
 * One HTTP request of a client with the JSON-RPC requests in it. Answers belong to the exchange that asked, not to an id:
 * two requests with the same id are two exchanges, and neither can get the other's answer (MCP-1). It begins undecided,
 * becomes a stream with the first message that is not the answer, and outlives its connection.
 */
export class Exchange<Stream extends MessageStream> implements Carrier {
  readonly #options: ExchangeOptions<Stream>;
  readonly #reply = Promise.withResolvers<ExchangeReply<Stream>>();
  readonly headers: Record<string, string> = {};
  #state: State = { status: 'waiting', answers: [] };
  #open: number;

  constructor(options: ExchangeOptions<Stream>) {
    this.#options = options;
    this.#open = options.requests;
  }

  /** Settles when it is decided how the HTTP request is answered. */
  get reply(): Promise<ExchangeReply<Stream>> {
    return this.#reply.promise;
  }

  /** Whether messages other than answers can reach the client here. */
  get canCarryMessages(): boolean {
    return (
      this.#state.status === 'streaming' || (this.#state.status === 'waiting' && this.#options.mayStream)
    );
  }

  addHeaders(headers: Readonly<Record<string, string>>): void {
    Object.assign(this.headers, headers);
  }

  /** Turns to a stream, so that the client can resume if it loses the connection. */
  stream(): void {
    if (this.#state.status !== 'waiting' || !this.#options.mayStream) return;
    const stream = this.#options.openStream();
    for (const answer of this.#state.answers) stream.append(answer.toString());
    this.#state = { status: 'streaming', stream };
    this.#reply.resolve({ type: 'stream', stream });
  }

  /** Sends a notification or a server's request. `false` when this exchange cannot carry it. */
  emit(message: Buffer, mayBeLost: boolean): boolean {
    this.stream();
    if (this.#state.status !== 'streaming') return false;
    this.#state.stream.append(message.toString(), mayBeLost);
    return true;
  }

  pause(): void {
    if (!this.#options.mayPause) return;
    this.stream();
    if (this.#state.status === 'streaming') this.#state.stream.pause?.();
  }

  /** One request is over: with its answer, or without one because its client cancelled it. */
  settle(answer: Buffer | undefined): void {
    if (this.#state.status === 'done') return;
    this.#open--;
    if (this.#state.status === 'streaming') {
      if (answer) this.#state.stream.append(answer.toString());
      if (this.#open > 0) return;
      this.#state.stream.finish();
      this.#state = { status: 'done' };
      return;
    }
    if (answer) this.#state.answers.push(answer);
    if (this.#open > 0) return;
    const { answers } = this.#state;
    this.#state = { status: 'done' };
    this.#reply.resolve(this.#replyWith(answers));
  }

  #replyWith(answers: readonly Buffer[]): ExchangeReply<Stream> {
    const [first] = answers;
    if (!first) return { type: 'nothing' };
    if (!this.#options.isBatch) return { type: 'json', body: first };
    return { type: 'json', body: Buffer.from(`[${answers.map(answer => answer.toString()).join(',')}]`) };
  }
}

/** One JSON-RPC request of a client, from its arrival to its one answer. */
export interface Call {
  readonly exchange: Carrier;
  /** The id as the client wrote it, byte for byte. */
  readonly rawId: Buffer;
  /** Equal for equal ids; only for `notifications/cancelled`, which names its call in no other way. */
  readonly idKey: string;
  /** What the client knows progress by, as raw JSON; of a call that asked, what the request says that waits now. */
  readonly progressToken: string | undefined;
  /** Whether the call waits for its client at the moment, so that its time does not run. */
  readonly isWaitingForClient?: boolean;
  /** Aborted when the client cancels (reason `cancelledByClient`) or the session ends (a GatewayError). */
  readonly end: Stopper;
}

export const cancelledByClient = Symbol('cancelled by the client');

export function isCancelledByClient(call: Call): boolean {
  return call.end.reason === cancelledByClient;
}

/** Ends a call with an error that its client gets. */
export function failCall(call: Call, error: GatewayError): void {
  call.end.stop(error);
}
