import type { DialResponse } from '@strata/shared/http/dialer.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { type EventStream, openDirectEventStream } from '@strata/shared/http/event-stream.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import { type EventLog, type EventSink, parseEventId } from '../domain/event-log.ts';
import type { SessionOwner } from '../domain/session-record.ts';
import type { LiveSession } from '../pipeline/live-session.ts';
import type { Replicas } from '../pipeline/replicas.ts';
import { streamHeader } from './relay-headers.ts';

export interface RelayedStreamOptions {
  readonly id: string;
  readonly route: string;
  readonly replicas: Replicas;
  /** Asks an owner of the session for the events after this one. */
  readonly resume: (owner: SessionOwner, lastEventId: string) => Promise<DialResponse>;
}

const limits = { maxLineBytes: 256 * 1024 * 1024, maxEventBytes: 256 * 1024 * 1024 };
const maxResumes = 10;

/**
 * A stream of another replica's session, passed on to a client that is connected here. When the owner dies the client notices nothing:
 * the events after the last one that was passed on come from whoever owns the session next, often this very replica.
 */
export class RelayedStream {
  readonly #options: RelayedStreamOptions;
  readonly #request: DirectRequest;
  #stream: EventStream | undefined;
  #lastEventId = '';
  #isEnded = false;
  #isHandedOver = false;

  constructor(request: DirectRequest, options: RelayedStreamOptions) {
    this.#options = options;
    this.#request = request;
  }

  /** Resolves when the stream is over, or belongs to a log of this replica. */
  async run(response: DialResponse): Promise<void> {
    this.#lastEventId = headerOf(response, streamHeader) ?? '';
    this.#stream = openDirectEventStream(this.#request, { 'mcp-session-id': this.#options.id });
    let current: DialResponse | undefined = response;
    for (let attempt = 0; current && attempt < maxResumes; attempt++) {
      const isComplete = await this.#pass(current);
      if (isComplete || this.#isOver) break;
      current = await this.#goOn().catch(() => undefined);
      if (current === undefined && this.#isHandedOver) return;
    }
    this.end();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stream?.end().catch(() => {}); // the client is gone already, which is what the end is for
  }

  get #isOver(): boolean {
    return this.#isEnded || this.#request.gone.aborted;
  }

  /** `false` when the stream broke off. */
  async #pass(response: DialResponse): Promise<boolean> {
    const scanner = new SseScanner(limits);
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        for (const frame of scanner.push(chunk)) {
          const { id } = frame.fields();
          await this.#stream?.write(frame.bytes);
          this.#lastEventId = id ?? this.#lastEventId;
        }
        if (this.#isOver) break;
      }
      return true;
    } catch {
      return false; // the owner is gone, or the client: `#isOver` tells
    } finally {
      response.body.destroy();
    }
  }

  /** The rest of the stream from its next owner; undefined when that is this replica, or nobody. */
  async #goOn(): Promise<DialResponse | undefined> {
    const { replicas, id, route, resume } = this.#options;
    let gone: SessionOwner | undefined;
    for (let attempt = 0; attempt < maxResumes; attempt++) {
      const place = await replicas.locate(id, this.#request.caller, route, gone);
      if (place.type === 'nowhere') return undefined;
      if (place.type === 'here') {
        await this.#handOver(place.session);
        return undefined;
      }
      try {
        const response = await resume(place.owner, this.#lastEventId);
        if (response.status === 200) return response;
        response.body.destroy();
        return undefined;
      } catch {
        gone = place.owner;
      }
    }
    return undefined;
  }

  async #handOver(session: LiveSession): Promise<void> {
    const position = parseEventId(this.#lastEventId);
    const log = position && (await session.streams.find(position.stream));
    if (!position || !log) return;
    await log.attach(this.#sinkInto(log), position.seq, true);
    this.#isHandedOver = true;
  }

  #sinkInto(log: EventLog): EventSink {
    const sink: EventSink = {
      write: async text => {
        await this.#stream?.write(text);
      },
      end: () => this.end(),
    };
    this.#request.gone.addEventListener('abort', () => log.leave(sink), { once: true });
    return sink;
  }
}

function headerOf(response: DialResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
