import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatSse } from '@strata/shared/http/sse.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { MessageStream } from './exchange.ts';

/** Where the events of a stream go while a client is connected. */
export interface EventSink {
  /** Resolves when more may be written; rejects when the client is gone. */
  write(text: string): Promise<void>;
  end(): void;
}

export interface EventLogOptions {
  /** Names the stream in its event ids: unique within the session. */
  readonly id: string;
  readonly hot: Hot;
  /** The ring's key in the hot store. */
  readonly ring: string;
  /** Proves on every append that this process still owns the session. Asked for when there is something to append. */
  readonly lease: () => Promise<{ readonly key: string; readonly fence: number }>;
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly keepMs: number;
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

export interface LoggedEvent {
  readonly seq: number;
  readonly event: string;
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
const readAtOnce = 64;
/** Stands in a ring for the end of its stream. No message is empty. */
const endMark = '';

/**
 * One event stream of a session: every message is appended to a ring in the hot store, then sent to the one client
 * connection that is attached, if any. A connection that comes back gets exactly what it missed (MCP-2): the events after
 * the last one it names, in order, once. The newest connection wins; the one before is ended.
 */
export class EventLog implements MessageStream {
  readonly #options: EventLogOptions;
  #recent: LoggedEvent[] = [];
  #appending: Promise<void> = Promise.resolve();
  #waiting = 0;
  #lastSeq = 0;
  /** Our number minus the ring's: a ring that expired while nothing happened begins at 1 again. */
  #ringOffset = 0;
  #deliveredSeq = 0;
  #largestEvent = 1;
  #isFinished = false;
  #attachment: Attachment | undefined;
  #isPaused = false;

  constructor(options: EventLogOptions) {
    this.#options = options;
    if (options.isShared && options.asked.length > 0) this.#appending = this.#storeAsked();
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
      if (this.#options.isShared && this.#options.asked.length > 0) await this.#storeEnd();
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
    const events: LoggedEvent[] = [];
    for (let ringSeq = 0; ; ) {
      const read = await this.#options.hot.readEvents(this.#options.ring, ringSeq, readAtOnce);
      if (read.events.length === 0) break;
      ringSeq = read.events.at(-1)?.seq ?? ringSeq;
      events.push(...read.events.map(({ event }) => readEntry(event)));
      this.#ringOffset = (events.at(-1)?.seq ?? 0) - ringSeq;
    }
    const isFinished = events.at(-1)?.event === endMark;
    const messages = events.filter(({ event }) => event !== endMark);
    this.#lastSeq = messages.at(-1)?.seq ?? 0;
    this.#deliveredSeq = this.#lastSeq;
    this.#isFinished = isFinished;
    return { events: messages, asked: await this.#readAsked(), isFinished };
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

  /** Beside the ring, because a ring forgets its oldest entries. */
  get #askedRing(): string {
    return `${this.#options.ring}:asked`;
  }

  async #storeAsked(): Promise<void> {
    const { asked, lease, keepMs, hot } = this.#options;
    const options = { maxEvents: 1, ttlMs: keepMs };
    await lease()
      .then(held => hot.appendEvent(this.#askedRing, JSON.stringify(asked), { ...options, lease: held }))
      .catch(() => {}); // as in #store
  }

  async #readAsked(): Promise<readonly string[]> {
    const { events } = await this.#options.hot.readEvents(this.#askedRing, 0, 1);
    return JSON.parse(events[0]?.event ?? '[]') as string[]; // written by #storeAsked
  }

  async #storeEnd(): Promise<void> {
    const { ring, lease, keepMs, maxEvents, hot } = this.#options;
    const options = { maxEvents, ttlMs: keepMs };
    await lease()
      .then(held => hot.appendEvent(ring, `${this.#lastSeq + 1}:${endMark}`, { ...options, lease: held }))
      .catch(() => {}); // as in #store
  }

  async #store(message: string): Promise<void> {
    const { hot, ring, lease, maxEvents, maxBytes, keepMs, onFenced } = this.#options;
    this.#largestEvent = Math.max(this.#largestEvent, message.length);
    const ringSize = Math.max(1, Math.min(maxEvents, Math.floor(maxBytes / this.#largestEvent)));
    const seq = this.#lastSeq + 1;
    try {
      const options = { maxEvents: ringSize, ttlMs: keepMs, lease: await lease() };
      const stored = await hot.appendEvent(ring, `${seq}:${message}`, options);
      if (stored === 'fenced') {
        onFenced();
        return;
      }
      this.#ringOffset = seq - stored;
    } catch {
      // Without the store a stream cannot be resumed elsewhere, but whoever is connected still gets everything.
    }
    this.#lastSeq = seq;
    this.#recent.push({ seq: this.#lastSeq, event: message });
    if (this.#recent.length > Math.min(maxRecent, ringSize)) this.#recent.shift();
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
    const events = await this.#readRing(seq, readAtOnce);
    if (events[0]?.seq === seq + 1) return events;
    this.detach();
    throw unknownEvent();
  }

  async #holdsAfter(seq: number): Promise<boolean> {
    if (seq === this.#lastSeq) return true;
    const first = this.#recent[0];
    if (first && first.seq <= seq + 1) return true;
    const events = await this.#readRing(seq, 1);
    return events[0]?.seq === seq + 1;
  }

  async #readRing(afterSeq: number, limit: number): Promise<LoggedEvent[]> {
    const from = Math.max(0, afterSeq - this.#ringOffset);
    const { events } = await this.#options.hot.readEvents(this.#options.ring, from, limit);
    return events.map(({ event }) => readEntry(event)).filter(({ event }) => event !== endMark);
  }

  #eventId(seq: number): string {
    return `${this.#options.id}.${seq}`;
  }
}

function readEntry(entry: string): LoggedEvent {
  const colon = entry.indexOf(':');
  return { seq: Number(entry.slice(0, colon)), event: entry.slice(colon + 1) };
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
