import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatSse } from '@strata/shared/http/sse.ts';
import { EventRing, type EventRingOptions, type LoggedEvent } from './event-ring.ts';
import type { MessageStream } from './exchange.ts';

/** Where the events of a stream go while a client is connected. */
export interface EventSink {
  /** Resolves when more may be written; rejects when the client is gone. */
  write(text: string): Promise<void>;
  end(): void;
}

export interface EventLogOptions extends EventRingOptions {
  /** Names the stream in its event ids: unique within the session. */
  readonly id: string;
  readonly retryMs: number;
  /** Whether another replica may have to go on with the stream: then what it needs for that is stored too. */
  readonly isShared: boolean;
  /** The ids of the requests that the stream will answer, as the client wrote them. */
  readonly asked: readonly string[];
  /** Whether the stream begins with an empty event, so that a client can resume it before the first message. */
  readonly hasPriming: boolean;
  readonly onFenced: () => void;
  readonly onDropped: () => void;
}

/** What the owner of a stream left when it died. */
export interface LeftBehind {
  readonly events: readonly LoggedEvent[];
  /** The requests it was to answer; none for the stream of a session itself. */
  readonly asked: readonly string[];
  readonly isFinished: boolean;
}

interface Attachment {
  readonly sink: EventSink;
  seq: number;
  isPumping: boolean;
  /** It ends once it has everything so far. */
  isEnding: boolean;
}

/** Appends that may wait for the store before messages that may be lost are. */
const maxWaiting = 1000;
/** Events kept here beside the ring, so that a connected client needs no read of the store. */
const maxRecent = 64;

/**
 * One event stream of a session: every message is appended to a ring in the hot store, then sent to the one client
 * connection that is attached, if any. A connection that comes back gets exactly what it missed (MCP-2): the events after
 * the last one it names, in order, once. The newest connection wins; the one before is ended.
 */
export class EventLog implements MessageStream {
  readonly #options: EventLogOptions;
  readonly #ring: EventRing;
  #recent: LoggedEvent[] = [];
  #appending: Promise<void> = Promise.resolve();
  #waiting = 0;
  #lastSeq = 0;
  #deliveredSeq = 0;
  #isFinished = false;
  #attachment: Attachment | undefined;
  #isPaused = false;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#ring = new EventRing(options);
    if (options.isShared && options.asked.length > 0) this.#appending = this.#ring.storeAsked(options.asked);
  }

  get id(): string {
    return this.#options.id;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get isAttached(): boolean {
    return this.#attachment !== undefined;
  }

  /** The last event that was handed to a connection: where a connection that names no event goes on. */
  get deliveredSeq(): number {
    return this.#deliveredSeq;
  }

  /** Resolves when all that was appended so far is stored. */
  get stored(): Promise<void> {
    return this.#appending;
  }

  /** Adds a message (one line of JSON). One that `mayBeLost` is left out when the store cannot keep up. */
  append(message: string, mayBeLost = false): void {
    if (this.#isFinished) return;
    if (mayBeLost && this.#waiting >= maxWaiting) {
      this.#options.onDropped();
      return;
    }
    this.#waiting++;
    this.#appending = this.#appending.then(() => this.#store(message)).finally(() => this.#waiting--);
  }

  /** No more messages: the connection ends when it has everything. */
  finish(): void {
    this.#appending = this.#appending.then(async () => {
      this.#isFinished = true;
      this.#pump();
      if (this.#options.isShared && this.#options.asked.length > 0)
        await this.#ring.appendEnd(this.#lastSeq + 1);
    });
  }

  /**
   * The server closes its stream in the middle of its work, so that nobody holds a connection for it: the client's ends too, once it has
   * everything so far, and comes back for the rest (2025-11-25, "Sending Messages to the Server").
   */
  pause(): void {
    this.#appending = this.#appending.then(() => {
      this.#isPaused = this.#attachment === undefined;
      if (this.#attachment) this.#attachment.isEnding = true;
      this.#pump();
    });
  }

  /** Reads what an owner that is gone has left in the ring, to go on behind it. Before anything else is done with the log. */
  async recover(): Promise<LeftBehind> {
    const { events, isFinished } = await this.#ring.readAll();
    this.#lastSeq = events.at(-1)?.seq ?? 0;
    this.#deliveredSeq = this.#lastSeq;
    this.#isFinished = isFinished;
    return { events, asked: await this.#ring.readAsked(), isFinished };
  }

  /**
   * Sends the events after `afterSeq` to this connection, and every later one. One that is no continuation of another
   * begins with the priming event. @throws GatewayError invalid_request
   * (`event_id_unknown`) when those events never were or are gone.
   */
  async attach(sink: EventSink, afterSeq: number, isResumed = false): Promise<void> {
    await this.#appending;
    if (afterSeq > this.#lastSeq || !(await this.#holdsAfter(afterSeq))) throw unknownEvent();
    this.detach();
    this.#attachment = { sink, seq: afterSeq, isPumping: false, isEnding: this.#isPaused && !isResumed };
    this.#isPaused = false;
    if (!isResumed && this.#options.hasPriming) {
      const { retryMs } = this.#options;
      await sink
        .write(formatSse({ id: this.#eventId(afterSeq), retryMs, data: '' }))
        .catch(() => this.leave(sink));
    }
    this.#pump();
  }

  /** The connection is gone; the stream is not. */
  leave(sink: EventSink): void {
    if (this.#attachment?.sink === sink) this.#attachment = undefined;
  }

  /** Ends the connection, if there is one. The client may come back. */
  detach(): void {
    const attachment = this.#attachment;
    this.#attachment = undefined;
    attachment?.sink.end();
  }

  async #store(message: string): Promise<void> {
    const seq = this.#lastSeq + 1;
    try {
      if ((await this.#ring.append({ seq, event: message })) === 'fenced') {
        this.#options.onFenced();
        return;
      }
    } catch {
      // Without the store a stream cannot be resumed elsewhere, but whoever is connected still gets everything.
    }
    this.#lastSeq = seq;
    this.#recent.push({ seq: this.#lastSeq, event: message });
    if (this.#recent.length > Math.min(maxRecent, this.#ring.size)) this.#recent.shift();
    this.#pump();
  }

  #pump(): void {
    const attachment = this.#attachment;
    if (!attachment || attachment.isPumping) return;
    attachment.isPumping = true;
    this.#send(attachment)
      .catch(() => this.leave(attachment.sink)) // the client is gone, or so slow that its events are
      .finally(() => {
        attachment.isPumping = false;
        const isBehind = attachment.seq < this.#lastSeq || this.#isFinished || attachment.isEnding;
        if (this.#attachment === attachment && isBehind) this.#pump();
      });
  }

  async #send(attachment: Attachment): Promise<void> {
    while (this.#attachment === attachment && attachment.seq < this.#lastSeq) {
      for (const { seq, event } of await this.#eventsAfter(attachment.seq)) {
        if (this.#attachment !== attachment) return;
        await attachment.sink.write(formatSse({ event: 'message', id: this.#eventId(seq), data: event }));
        attachment.seq = seq;
        this.#deliveredSeq = Math.max(this.#deliveredSeq, seq);
      }
    }
    const isOver = this.#isFinished || attachment.isEnding;
    if (isOver && this.#attachment === attachment) this.detach();
  }

  async #eventsAfter(seq: number): Promise<readonly LoggedEvent[]> {
    const first = this.#recent[0];
    if (first && first.seq <= seq + 1) return this.#recent.filter(each => each.seq > seq);
    const events = await this.#ring.readAfter(seq);
    if (events[0]?.seq === seq + 1) return events;
    this.detach();
    throw unknownEvent();
  }

  async #holdsAfter(seq: number): Promise<boolean> {
    if (seq === this.#lastSeq) return true;
    const first = this.#recent[0];
    if (first && first.seq <= seq + 1) return true;
    const events = await this.#ring.readAfter(seq, 1);
    return events[0]?.seq === seq + 1;
  }

  #eventId(seq: number): string {
    return `${this.#options.id}.${seq}`;
  }
}

/** Reads an event id back. `undefined` when it is none of ours. */
export function parseEventId(text: string): { stream: string; seq: number } | undefined {
  const match = /^([a-z][a-z0-9]{0,31})\.(\d{1,15})$/.exec(text);
  return match ? { stream: match[1] ?? '', seq: Number(match[2]) } : undefined;
}

export function unknownEvent(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'There are no events after this `Last-Event-ID` in this session. Connect without it.',
    { reason: 'event_id_unknown', param: 'last-event-id' },
  );
}
