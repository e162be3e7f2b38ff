import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { EventLog, type LeftBehind } from '../domain/event-log.ts';
import { Exchange } from '../domain/exchange.ts';
import { type SessionLease, sessionKey } from '../domain/session-record.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import { idKey, parseFrame } from '../wire/frame.ts';
import { renderError } from '../wire/render.ts';

export interface SessionStreamsOptions {
  readonly tag: string;
  readonly hot: Hot;
  readonly clock: Clock;
  readonly settings: () => GatewaySettings;
  readonly lease: () => Promise<SessionLease>;
  /** The fence under which the session was taken over from another replica; undefined in a session that began here. */
  readonly takenOverAs: number | undefined;
  /** Whether other replicas may have to go on with the streams. */
  readonly isShared: boolean;
  readonly hasPriming: boolean;
  readonly onFenced: () => void;
  readonly onDropped: () => void;
}

interface OpenStream {
  readonly log: EventLog;
  readonly openedAtMs: number;
}

export interface ExchangeRequest {
  readonly requests: number;
  /** Their ids, as the client wrote them; `null` for one that could not be read. Asked for when a stream is opened. */
  readonly ids: () => readonly string[];
  readonly isBatch: boolean;
  readonly mayStream: boolean;
}

const standaloneStream = 's';
/** Finished streams past this are forgotten before their time. */
const maxStreams = 64;

/** The event streams of one session: its own, and one for each exchange that was answered with a stream. */
export class SessionStreams {
  readonly #options: SessionStreamsOptions;
  readonly #streams = new Map<string, OpenStream>();
  readonly #recovering = new Map<string, Promise<EventLog | undefined>>();
  /** For messages that belong to no exchange. */
  readonly standalone: EventLog;
  #count = 0;

  constructor(options: SessionStreamsOptions) {
    this.#options = options;
    this.standalone = this.#open(standaloneStream, options.settings().sessions.absoluteMs, []);
  }

  openExchange({ requests, ids, isBatch, mayStream }: ExchangeRequest): Exchange<EventLog> {
    return new Exchange({
      requests,
      isBatch,
      mayStream,
      mayPause: this.#options.hasPriming && requests === 1, // the rest of a batch goes on
      openStream: () => this.#keep(this.#nextId(), ids()),
    });
  }

  /** The stream an event id names: one of this session, or one that its last owner left behind. */
  async find(id: string): Promise<EventLog | undefined> {
    if (id === standaloneStream) return this.standalone;
    const open = this.#streams.get(id);
    if (open) return open.log;
    if (this.#options.takenOverAs === undefined) return undefined;
    const recovering = this.#recovering.get(id) ?? this.#recover(id);
    this.#recovering.set(id, recovering);
    return recovering.finally(() => this.#recovering.delete(id));
  }

  /** Goes on where the last owner of the session stopped. */
  async resume(): Promise<void> {
    await this.standalone.recover();
  }

  /** Resolves when all that was appended so far is stored. */
  async stored(): Promise<void> {
    const logs = [this.standalone, ...[...this.#streams.values()].map(({ log }) => log)];
    await Promise.all(logs.map(log => log.stored));
  }

  /** Finished streams that nobody fetched in time are forgotten. */
  tick(atMs: number): void {
    const { keepMs } = this.#options.settings().streams;
    for (const [id, { log, openedAtMs }] of this.#streams) {
      if (log.isFinished && !log.isAttached && atMs - openedAtMs > keepMs) this.#streams.delete(id);
    }
  }

  /** What the last owner was still to answer is answered: whether it was done, nobody knows, and nothing is done again. */
  async #recover(id: string): Promise<EventLog | undefined> {
    const log = this.#open(id, this.#options.settings().streams.keepMs, []);
    const left = await log.recover();
    if (left.events.length === 0 && left.asked.length === 0) return undefined;
    this.#streams.set(id, { log, openedAtMs: this.#options.clock.monotonic() });
    if (left.isFinished) return log;
    for (const rawId of unanswered(left)) {
      log.append(renderError(Buffer.from(rawId), ownerLost(), this.#options.tag).toString());
    }
    log.finish();
    return log;
  }

  /** Ids of a session's owners differ, so that no stream of one is taken for a stream of another. */
  #nextId(): string {
    const { takenOverAs } = this.#options;
    this.#count++;
    return takenOverAs === undefined ? `x${this.#count}` : `r${takenOverAs.toString(36)}x${this.#count}`;
  }

  #keep(id: string, asked: readonly string[]): EventLog {
    this.#makeRoom();
    const log = this.#open(id, this.#options.settings().streams.keepMs, asked);
    this.#streams.set(id, { log, openedAtMs: this.#options.clock.monotonic() });
    return log;
  }

  #makeRoom(): void {
    if (this.#streams.size < maxStreams) return;
    for (const [id, { log }] of this.#streams) {
      if (!log.isFinished || log.isAttached) continue;
      this.#streams.delete(id);
      return;
    }
  }

  #open(id: string, keepMs: number, asked: readonly string[]): EventLog {
    const { tag, hot, settings, lease, isShared, hasPriming, onFenced, onDropped } = this.#options;
    const { maxEvents, maxBytes, retryMs } = settings().streams;
    return new EventLog({
      id,
      hot,
      ring: sessionKey(tag, `ring:${id}`),
      lease,
      maxEvents,
      maxBytes,
      keepMs,
      retryMs: retryMs + Math.floor((Math.random() * retryMs) / 2), // clients that lost one replica together come back one after the other (F63)
      isShared,
      asked,
      hasPriming,
      onFenced,
      onDropped,
    });
  }
}

/** The answer to a call whose replica ended while it ran. */
export function ownerLost(): GatewayError {
  return new GatewayError(
    'upstream_failed',
    'The gateway process that ran this call ended before the answer came. Whether the call took effect is not known.',
    { reason: 'session_owner_lost' },
  );
}

function unanswered({ asked, events }: LeftBehind): string[] {
  const answered = events.flatMap(({ event }) => {
    const frame = parseFrame(Buffer.from(event));
    return frame.kind === 'response' ? [idKey(frame.bytes, frame.id)] : [];
  });
  return asked.filter(rawId => {
    const bytes = Buffer.from(rawId);
    const index = answered.indexOf(idKey(bytes, { start: 0, end: bytes.length }));
    if (index !== -1) answered.splice(index, 1); // of two calls under one id, one answer answers one
    return index === -1;
  });
}
