import type { Hot } from '@strata/shared/stores/hot.ts';

export interface EventRingOptions {
  readonly hot: Hot;
  /** The ring's key in the hot store. */
  readonly ring: string;
  /** Proves on every append that this process still owns the session. Asked for when there is something to append. */
  readonly lease: () => Promise<{ readonly key: string; readonly fence: number }>;
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly keepMs: number;
}

export interface LoggedEvent {
  readonly seq: number;
  readonly event: string;
}

const readAtOnce = 64;
/** Stands in a ring for the end of its stream. No message is empty. */
const endMark = '';

/** The events of one stream in the hot store, by the numbers that the stream gives them. */
export class EventRing {
  readonly #options: EventRingOptions;
  /** The stream's number minus the ring's: a ring that expired while nothing happened begins at 1 again. */
  #offset = 0;
  #largestEvent = 1;

  constructor(options: EventRingOptions) {
    this.#options = options;
  }

  /** How many events of the size of the largest so far it keeps. */
  get size(): number {
    const { maxEvents, maxBytes } = this.#options;
    return Math.max(1, Math.min(maxEvents, Math.floor(maxBytes / this.#largestEvent)));
  }

  /** @throws what the store throws when it cannot be written. */
  async append({ seq, event }: LoggedEvent): Promise<'stored' | 'fenced'> {
    const { hot, ring, lease, keepMs } = this.#options;
    this.#largestEvent = Math.max(this.#largestEvent, event.length);
    const options = { maxEvents: this.size, ttlMs: keepMs, lease: await lease() };
    const stored = await hot.appendEvent(ring, `${seq}:${event}`, options);
    if (stored === 'fenced') return 'fenced';
    this.#offset = seq - stored;
    return 'stored';
  }

  /** The stream has ended before this number. Without the store nobody else goes on with it. */
  async appendEnd(seq: number): Promise<void> {
    const { hot, ring, lease, keepMs, maxEvents } = this.#options;
    await lease()
      .then(held => hot.appendEvent(ring, `${seq}:${endMark}`, { maxEvents, ttlMs: keepMs, lease: held }))
      .catch(() => {});
  }

  /** Up to `limit` events after this number. */
  async readAfter(seq: number, limit: number = readAtOnce): Promise<LoggedEvent[]> {
    const from = Math.max(0, seq - this.#offset);
    const { events } = await this.#options.hot.readEvents(this.#options.ring, from, limit);
    return events.map(({ event }) => readEntry(event)).filter(({ event }) => event !== endMark);
  }

  /** All that an owner that is gone has left. What is appended later goes behind it. */
  async readAll(): Promise<{ readonly events: readonly LoggedEvent[]; readonly isFinished: boolean }> {
    const entries: LoggedEvent[] = [];
    for (let ringSeq = 0; ; ) {
      const read = await this.#options.hot.readEvents(this.#options.ring, ringSeq, readAtOnce);
      if (read.events.length === 0) break;
      ringSeq = read.events.at(-1)?.seq ?? ringSeq;
      entries.push(...read.events.map(({ event }) => readEntry(event)));
      this.#offset = (entries.at(-1)?.seq ?? 0) - ringSeq;
    }
    return {
      events: entries.filter(({ event }) => event !== endMark),
      isFinished: entries.at(-1)?.event === endMark,
    };
  }

  /** The ids of the requests that the stream will answer, beside the ring, because a ring forgets its oldest entries. */
  async storeAsked(asked: readonly string[]): Promise<void> {
    const { hot, lease, keepMs } = this.#options;
    const options = { maxEvents: 1, ttlMs: keepMs };
    await lease()
      .then(held => hot.appendEvent(this.#askedRing, JSON.stringify(asked), { ...options, lease: held }))
      .catch(() => {}); // as in `appendEnd`
  }

  async readAsked(): Promise<readonly string[]> {
    const { events } = await this.#options.hot.readEvents(this.#askedRing, 0, 1);
    return JSON.parse(events[0]?.event ?? '[]') as string[]; // written by `storeAsked`
  }

  get #askedRing(): string {
    return `${this.#options.ring}:asked`;
  }
}

function readEntry(entry: string): LoggedEvent {
  const colon = entry.indexOf(':');
  return { seq: Number(entry.slice(0, colon)), event: entry.slice(colon + 1) };
}
