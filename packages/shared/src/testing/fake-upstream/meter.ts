import { joinHeaders } from '../message-parser.ts';
import { Watchers } from '../watchers.ts';
import type { RequestFacts } from './plan.ts';
import type { RequestHead } from './request-parser.ts';

/** How an exchange ended, seen from the upstream. */
export type ExchangeEnd =
  /** The plan ran to its end; the connection lives on. */
  | 'completed'
  /** The plan closed or broke the connection. */
  | 'fin'
  | 'rst'
  /** The client closed before the plan was over. */
  | 'client-fin'
  | 'client-reset'
  /** The test closed the upstream. */
  | 'upstream-closed';

/** What the upstream really received and sent in one exchange. Bytes count once the system took them. Live: it changes. */
export interface MeteredRequest extends RequestFacts {
  readonly rawHeaders: RequestHead['rawHeaders'];
  /** Body bytes received so far, without chunk framing. */
  readonly bodyBytes: number;
  /** Milliseconds of the clock's `monotonic`: head received, whole request received, first byte sent. */
  readonly headAtMs: number;
  readonly receivedAtMs: number | undefined;
  readonly firstByteAtMs: number | undefined;
  /** Bytes sent with head and chunk framing, and body bytes alone. */
  readonly wireBytesSent: number;
  readonly bodyBytesSent: number;
  /** The body sent so far (at most `keepBytes` of it). */
  sentBody(): Buffer;
  readonly eventsSent: number;
  readonly end: { readonly how: ExchangeEnd; readonly atMs: number } | undefined;
  /** Resolves with the request as soon as `condition` holds; rejects when the upstream is closed first. */
  until(condition: (request: MeteredRequest) => boolean): Promise<MeteredRequest>;
}

/** The meter of one exchange: the public record, and the methods that move it. */
export class Meter implements MeteredRequest {
  readonly index: number;
  readonly connectionId: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: RequestHead['rawHeaders'];
  readonly headAtMs: number;
  bodyBytes = 0;
  receivedAtMs: number | undefined;
  firstByteAtMs: number | undefined;
  wireBytesSent = 0;
  bodyBytesSent = 0;
  eventsSent = 0;
  end: { readonly how: ExchangeEnd; readonly atMs: number } | undefined;
  readonly #received: Kept;
  readonly #sent: Kept;
  readonly #watchers = new Watchers<MeteredRequest>('The fake upstream');
  readonly #onChange: () => void;
  readonly #monotonic: () => number;

  constructor(
    head: RequestHead,
    options: {
      readonly index: number;
      readonly connectionId: number;
      readonly keepBytes: number;
      readonly monotonic: () => number;
      readonly onChange: () => void;
    },
  ) {
    this.index = options.index;
    this.connectionId = options.connectionId;
    this.method = head.method;
    this.path = head.path;
    this.rawHeaders = head.rawHeaders;
    this.headers = joinHeaders(head.rawHeaders);
    this.headAtMs = options.monotonic();
    this.#received = new Kept(options.keepBytes);
    this.#sent = new Kept(options.keepBytes);
    this.#monotonic = options.monotonic;
    this.#onChange = options.onChange;
  }

  body(): Buffer {
    return this.#received.bytes();
  }

  json(): unknown {
    return JSON.parse(this.body().toString());
  }

  sentBody(): Buffer {
    return this.#sent.bytes();
  }

  until(condition: (request: MeteredRequest) => boolean): Promise<MeteredRequest> {
    return this.#watchers.until(this, condition, `request ${this.index}`);
  }

  receivedBody(bytes: Buffer): void {
    this.bodyBytes += bytes.length;
    this.#received.add(bytes);
    this.#changed();
  }

  received(): void {
    this.receivedAtMs = this.#monotonic();
    this.#changed();
  }

  sent(counts: { readonly wireBytes: number; readonly body?: Uint8Array; readonly isEvent?: boolean }): void {
    this.firstByteAtMs ??= this.#monotonic();
    this.wireBytesSent += counts.wireBytes;
    if (counts.body) {
      this.bodyBytesSent += counts.body.length;
      this.#sent.add(counts.body);
    }
    if (counts.isEvent) this.eventsSent++;
    this.#changed();
  }

  ended(how: ExchangeEnd): void {
    if (this.end) return;
    this.end = { how, atMs: this.#monotonic() };
    this.#changed();
  }

  giveUp(): void {
    this.#watchers.close();
  }

  #changed(): void {
    this.#watchers.changed();
    this.#onChange();
  }
}

/** The first `maxBytes` of what is added. */
class Kept {
  readonly #parts: Buffer[] = [];
  #room: number;

  constructor(maxBytes: number) {
    this.#room = maxBytes;
  }

  add(bytes: Uint8Array): void {
    if (this.#room === 0 || bytes.length === 0) return;
    const part = Buffer.from(bytes.subarray(0, this.#room));
    this.#room -= part.length;
    this.#parts.push(part);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
