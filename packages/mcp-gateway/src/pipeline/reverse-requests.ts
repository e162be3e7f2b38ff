import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { stringAt } from '@strata/shared/json/json-text.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import type { JsonObject } from '../domain/capabilities.ts';
import type { NotificationFrame, RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { Channel } from '../domain/upstream.ts';
import { idKey, isReadable, rawText } from '../wire/frame.ts';
import { relatedTaskOf } from '../wire/references.ts';
import { copySpan, renderError, renderErrorObject } from '../wire/render.ts';

/** Sends a message to the session's client, on the stream it belongs to. */
export type SendToClient = (bytes: Buffer) => void;

interface Waiting {
  readonly channel: Channel;
  /** The id as the server wrote it; two servers may use the same. */
  readonly serverId: Buffer;
  readonly serverKey: string;
  readonly progressToken: string | undefined;
  readonly send: SendToClient;
  readonly timer: Scheduled;
}

/** What a client must have declared to be asked. */
export const neededCapability: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
};

const maxWaiting = 100;

/**
 * Questions of servers to one session's client. Each gets an id of the gateway's on its way down, so that equal ids of two
 * servers cannot meet, and its own id back on the way up, byte for byte.
 */
export class ReverseRequests {
  readonly #waiting = new Map<string, Waiting>();
  readonly #clock: Clock;
  readonly #timeoutMs: () => number;
  readonly #capabilities: JsonObject;
  readonly #ownTaskId: (exposed: string) => string | undefined;
  #count = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly timeoutMs: () => number;
    readonly capabilities: JsonObject;
    /** A server's own id of a task, from the client's. */
    readonly ownTaskId: (exposed: string) => string | undefined;
  }) {
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
    this.#capabilities = options.capabilities;
    this.#ownTaskId = options.ownTaskId;
  }

  get size(): number {
    return this.#waiting.size;
  }

  ask(channel: Channel, frame: RequestFrame, send: SendToClient): void {
    const serverId = copySpan(frame.bytes, frame.id);
    const capability = neededCapability[frame.method];
    if (capability === undefined || this.#capabilities[capability] === undefined) {
      channel.tell(refuse(serverId, -32601, `The client does not take '${frame.method}'.`));
      return;
    }
    if (this.#waiting.size >= maxWaiting) {
      channel.tell(refuse(serverId, -32000, 'Too many questions wait for the client.'));
      return;
    }
    const id = `strata-${++this.#count}`;
    const token = frame.params?.members?.get('_meta')?.members?.get('progressToken');
    const timer = this.#clock.schedule(this.#timeoutMs(), () => this.#expire(id));
    this.#waiting.set(id, {
      channel,
      serverId,
      serverKey: idKey(frame.bytes, frame.id) ?? '',
      progressToken: token && rawText(frame.bytes, token),
      send,
      timer,
    });
    send(splice(frame.bytes, [{ start: frame.id.start, end: frame.id.end, text: JSON.stringify(id) }]));
  }

  /** The client's answer. `false` when no question waits for it. */
  answer(frame: ResponseFrame): boolean {
    const key = idKey(frame.bytes, frame.id);
    const id = key?.startsWith('s:') ? key.slice(2) : '';
    const waiting = this.#take(id);
    if (!waiting) return false;
    waiting.channel.tell(this.#answerTo(waiting.serverId, frame));
    return true;
  }

  /** A server may wait without end for an answer that it cannot read, so it gets an error instead. */
  #answerTo(serverId: Buffer, frame: ResponseFrame): Buffer {
    if (!isReadable(frame)) return refuse(serverId, -32603, 'The answer of the client is not valid.');
    const idEdit = { start: frame.id.start, end: frame.id.end, text: serverId };
    return splice(frame.bytes, [idEdit, ...this.#taskEdits(frame)]);
  }

  /** An answer may say which task it belongs to. */
  #taskEdits(frame: ResponseFrame): Edit[] {
    const span = relatedTaskOf(frame);
    const own = span && this.#ownTaskId(stringAt(frame.bytes, span) ?? '');
    return span && own !== undefined ? [{ start: span.start, end: span.end, text: JSON.stringify(own) }] : [];
  }

  /** The client reports progress on a question: it goes to the server whose token it names. */
  progress(frame: NotificationFrame): boolean {
    const span = frame.params?.members?.get('progressToken');
    const token = span && rawText(frame.bytes, span);
    for (const waiting of this.#waiting.values()) {
      if (token === undefined || waiting.progressToken !== token) continue;
      waiting.channel.tell(frame.bytes);
      return true;
    }
    return false;
  }

  /** The server takes its question back; the client is told under the id it knows. */
  cancel(channel: Channel, frame: NotificationFrame): void {
    const span = frame.params?.members?.get('requestId');
    const key = span && idKey(frame.bytes, span);
    for (const [id, waiting] of this.#waiting) {
      if (waiting.channel !== channel || waiting.serverKey !== key || !span) continue;
      this.#take(id);
      waiting.send(splice(frame.bytes, [{ start: span.start, end: span.end, text: JSON.stringify(id) }]));
      return;
    }
  }

  /** The server is gone: nobody wants these answers any more. */
  forget(channel: Channel): void {
    for (const [id, waiting] of this.#waiting) if (waiting.channel === channel) this.#take(id);
  }

  close(): void {
    for (const id of [...this.#waiting.keys()]) this.#take(id);
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.timer.cancel();
    return waiting;
  }

  #expire(id: string): void {
    const waiting = this.#take(id);
    if (!waiting) return;
    const error = new GatewayError('timeout', 'The client did not answer in time.', {
      reason: 'call_timeout',
    });
    waiting.channel.tell(renderError(waiting.serverId, error, id));
  }
}

/** The answer to a server whose question no client can be asked. */
export function refuse(serverId: Buffer, code: number, message: string): Buffer {
  return renderErrorObject(serverId, JSON.stringify({ code, message }));
}
