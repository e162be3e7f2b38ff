import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { InFlightMap } from '@strata/shared/in-flight.ts';
import { splice } from '@strata/shared/json/splice.ts';
import type { BadFrame, NotificationFrame, RequestFrame, ResponseFrame } from '../domain/frame.ts';
import { isReadable, parseFrame, parseFrames, rawText } from '../wire/frame.ts';
import { answerScanLimits } from '../wire/json-scanner.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { resultTooLarge } from './result-size.ts';
import type { Transport, TransportEvents } from './transport.ts';

/** One message that waits for its answer on one connection. */
export interface Pending {
  readonly progressToken: string | undefined;
  /** Whether the message came from a client: only such a call may be given what the server sends besides answers. */
  readonly isForwarded: boolean;
  onNotification(method: string, bytes: Buffer): void;
  onRequest(frame: RequestFrame): void;
  /** The server closed the stream of the answer, and goes on later. */
  onPaused?(): void;
  onAnswer(frame: ResponseFrame): void;
  onFailure(error: GatewayError): void;
  onSessionLost(): void;
}

export interface ConnectionOptions {
  readonly server: string;
  readonly maxResultBytes: number;
  /** Whether calls of several sessions run on it: then nothing is guessed to belong to one of them (S-1). */
  readonly isShared: boolean;
}

export interface ConnectionEvents {
  onNotification(frame: NotificationFrame): void;
  onRequest(frame: RequestFrame): void;
  /** An answer nobody waits for: unknown, late or given twice (F57, F58). */
  onStray(): void;
  onClosed(error: GatewayError): void;
}

/** Servers may answer with large structures; their size is capped in bytes before it comes here. */

/** Notifications that concern the whole conversation, whatever runs on it. */
const conversationWide =
  /^notifications\/(?:(?:tools|prompts|resources)\/list_changed|resources\/updated|tasks)$/;

/** The first message about a `subscriptions/listen` request; where all share one pipe, it names the request (2026-07-28). */
const acknowledged = 'notifications/subscriptions/acknowledged';

function subscriptionOf({ bytes, params }: NotificationFrame): number {
  const span = params?.members?.get('_meta')?.members?.get(hopMeta.subscriptionId);
  return span ? Number(rawText(bytes, span)) : Number.NaN;
}

/**
 * One transport's life, with the ids of the messages that wait on it. Ids are counted here and never taken from a
 * client, so equal ids of two clients cannot meet (MCP-1), and every entry leaves the table exactly once (M-2).
 */
export class Connection implements TransportEvents {
  readonly #pending = new InFlightMap<number, Pending>();
  readonly #server: string;
  readonly #maxResultBytes: number;
  readonly #isShared: boolean;
  readonly #events: ConnectionEvents;
  readonly transport: Transport;
  #lastId = 0;
  #closed: GatewayError | undefined;

  constructor(
    options: ConnectionOptions,
    open: (events: TransportEvents) => Transport,
    events: ConnectionEvents,
  ) {
    this.#server = options.server;
    this.#maxResultBytes = options.maxResultBytes;
    this.#isShared = options.isShared;
    this.#events = events;
    this.transport = open(this);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** Sends what `render` makes of the new id, and waits in the table. */
  send(render: (id: number) => Buffer, pending: Pending, headers?: Readonly<Record<string, string>>): number {
    const id = ++this.#lastId;
    if (this.#closed) {
      pending.onFailure(this.#closed);
      return id;
    }
    this.#pending.set(id, pending);
    this.transport.send(render(id), id, headers);
    return id;
  }

  /** Takes the entry out, without an answer. `false` when it was gone already. */
  abandon(id: number): boolean {
    this.transport.abandon(id);
    return this.#pending.take(id) !== undefined;
  }

  async close(error: GatewayError): Promise<void> {
    this.#failAll(error);
    await this.transport.close();
  }

  onMessage(bytes: Buffer, request: number | undefined): void {
    if (bytes[0] === 0x5b) {
      for (const frame of parseFrames(bytes, answerScanLimits).frames) this.#onFrame(frame, request);
      return;
    }
    this.#onFrame(parseFrame(bytes, answerScanLimits), request);
  }

  onPaused(request: number): void {
    this.#pending.get(request)?.onPaused?.();
  }

  onRequestFailed(request: number, error: GatewayError): void {
    this.#pending.take(request)?.onFailure(error);
  }

  onSessionLost(request: number): void {
    this.#pending.take(request)?.onSessionLost();
  }

  onClosed(error: GatewayError): void {
    if (this.#closed) return;
    this.#failAll(error);
    this.#events.onClosed(error);
  }

  isWaiting(request: number): boolean {
    return this.#pending.has(request);
  }

  #onFrame(frame: ReturnType<typeof parseFrame>, request: number | undefined): void {
    switch (frame.kind) {
      case 'response':
        this.#onAnswer(frame, request);
        return;
      case 'notification':
        this.#onNotification(frame, request);
        return;
      case 'request':
        this.#onRequest(frame, request);
        return;
      case 'bad':
        this.#events.onStray();
        this.#onBad(frame, request);
    }
  }

  /** On a pipe only the message itself says whose answer it was to be. */
  #onBad({ id, isAnswer }: BadFrame, request: number | undefined): void {
    const named = isAnswer && id ? Number(id.toString('latin1')) : undefined;
    const failed = request ?? named;
    if (failed !== undefined) this.#pending.take(failed)?.onFailure(this.#invalid());
  }

  #onAnswer(frame: ResponseFrame, request: number | undefined): void {
    const id = Number(frame.bytes.toString('latin1', frame.id.start, frame.id.end));
    if (request !== undefined && request !== id) {
      this.#events.onStray();
      return;
    }
    const pending = this.#pending.take(id);
    if (!pending) {
      this.#events.onStray();
      return;
    }
    if (frame.bytes.length <= this.#maxResultBytes) {
      if (isReadable(frame)) pending.onAnswer(frame);
      else pending.onFailure(this.#invalid());
      return;
    }
    pending.onFailure(resultTooLarge(this.#server, this.#maxResultBytes));
  }

  #onNotification(frame: NotificationFrame, request: number | undefined): void {
    if (frame.method === 'notifications/progress') {
      const token = frame.params?.members?.get('progressToken');
      const pending =
        token && this.#pending.get(Number(frame.bytes.toString('latin1', token.start, token.end)));
      if (!token || pending?.progressToken === undefined) {
        this.#events.onStray();
        return;
      }
      const restored = splice(frame.bytes, [{ ...token, text: pending.progressToken }]);
      pending.onNotification(frame.method, restored);
      return;
    }
    if (frame.method === acknowledged) {
      this.#pending.get(request ?? subscriptionOf(frame))?.onNotification(frame.method, frame.bytes);
      return;
    }
    const related = conversationWide.test(frame.method) ? undefined : this.#related(request);
    const isOfCall = request !== undefined || frame.method === 'notifications/message';
    if (related && isOfCall) related.onNotification(frame.method, frame.bytes);
    else this.#events.onNotification(frame);
  }

  #onRequest(frame: RequestFrame, request: number | undefined): void {
    if (frame.method === 'ping') {
      const id = frame.bytes.subarray(frame.id.start, frame.id.end);
      const head = Buffer.from('{"jsonrpc":"2.0","id":');
      this.transport.send(Buffer.concat([head, id, Buffer.from(',"result":{}}')]), undefined);
      return;
    }
    const related = this.#isShared ? undefined : this.#related(request);
    if (related) related.onRequest(frame);
    else this.#events.onRequest(frame);
  }

  /** The call that a message belongs to: by its stream, or because there is only one it can belong to. */
  #related(request: number | undefined): Pending | undefined {
    if (request !== undefined) {
      return this.#pending.get(request);
    }
    if (this.#isShared) return undefined;
    let only: Pending | undefined;
    for (const pending of this.#pending.values()) {
      if (!pending.isForwarded) continue;
      if (only) return undefined;
      only = pending;
    }
    return only;
  }

  #invalid(): GatewayError {
    const server = this.#server;
    return new GatewayError('upstream_failed', `The server '${server}' sent a message that is not valid.`, {
      reason: 'server_message_invalid',
      details: { server },
    });
  }

  #failAll(error: GatewayError): void {
    this.#closed ??= error;
    for (const pending of this.#pending.takeAll()) pending.onFailure(error);
  }
}
