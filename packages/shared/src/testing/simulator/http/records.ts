import type { IncomingHttpHeaders } from 'node:http';
import type { Billing, ProtocolName } from './protocol.ts';

export type Outcome =
  | 'open'
  | 'completed'
  /** The client closed before the answer was over. */
  | 'client-left'
  /** A fault ended the answer. */
  | 'broken';

/** One request as the simulator saw it. Live: it changes until `outcome` is no longer `open`. */
export interface RecordedRequest {
  /** 1 for the first. */
  readonly index: number;
  readonly protocol: ProtocolName;
  readonly operation: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly bodyBytes: number;
  /** The body as it came; its first 256 KiB if it is longer. */
  readonly body: Buffer;
  /** The body as it parses. Throws where it is no JSON, or was too long to keep. */
  json(): unknown;
  readonly model: string | undefined;
  readonly isStream: boolean;
  readonly status: number | undefined;
  readonly fault: string | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly eventsSent: number;
  readonly outputTokensSent: number;
  readonly outcome: Outcome;
}

/** Tokens that a provider would put on the bill. Of a stream that broke, what was sent. */
export interface Bill {
  requests: number;
  inputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  outputTokens: number;
  thinkingTokens: number;
  abortedStreams: number;
}

export interface MeterSnapshot {
  /** All requests, refused ones too. */
  readonly requests: number;
  readonly open: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** By `protocol/model`. */
  readonly billed: Readonly<Record<string, Readonly<Bill>>>;
  readonly aborted: readonly {
    readonly index: number;
    readonly eventsSent: number;
    readonly outputTokensSent: number;
    readonly outcome: Outcome;
  }[];
}

const keptBodyBytes = 256 * 1024;
const maxAborted = 1000;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Keeps the last requests, and counts them all. */
export class Records {
  readonly #max: number;
  readonly #requests: RecordedRequest[] = [];
  readonly #waiting = new Set<() => void>();
  #total = 0;
  #open = 0;
  #statuses: Record<string, number> = {};
  #billed: Record<string, Bill> = {};
  #aborted: MeterSnapshot['aborted'][number][] = [];

  constructor(maxRequests: number) {
    this.#max = maxRequests;
  }

  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  start(
    facts: Pick<RecordedRequest, 'protocol' | 'operation' | 'method' | 'path' | 'headers' | 'startedAtMs'> & {
      readonly body: Buffer;
    },
  ): Entry {
    // A copy: what came from the socket is a slice of a buffer many times its size.
    const body = Buffer.from(facts.body.subarray(0, keptBodyBytes));
    const request: Mutable<RecordedRequest> = {
      ...facts,
      index: ++this.#total,
      bodyBytes: facts.body.length,
      body,
      json: () => JSON.parse(body.toString()),
      model: undefined,
      isStream: false,
      status: undefined,
      fault: undefined,
      endedAtMs: undefined,
      eventsSent: 0,
      outputTokensSent: 0,
      outcome: 'open',
    };
    this.#open++;
    this.#requests.push(request);
    if (this.#requests.length > this.#max * 2) this.#requests.splice(0, this.#requests.length - this.#max);
    this.#changed();
    return {
      request,
      changed: () => this.#changed(),
      end: (outcome, atMs, billing) => this.#end(request, { outcome, atMs, billing }),
    };
  }

  snapshot(): MeterSnapshot {
    return {
      requests: this.#total,
      open: this.#open,
      statuses: { ...this.#statuses },
      billed: structuredClone(this.#billed),
      aborted: [...this.#aborted],
    };
  }

  clear(): void {
    this.#requests.length = 0;
    this.#total = 0;
    this.#statuses = {};
    this.#billed = {};
    this.#aborted = [];
  }

  /** The first kept request for which `condition` holds, now or later. Rejects with the signal's reason. */
  async until(
    condition: (request: RecordedRequest) => boolean,
    signal?: AbortSignal,
  ): Promise<RecordedRequest> {
    for (;;) {
      const found = this.#requests.find(condition);
      if (found) return found;
      signal?.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = () => resolve();
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      await promise;
      this.#waiting.delete(wake);
      signal?.removeEventListener('abort', wake);
    }
  }

  #changed(): void {
    for (const wake of this.#waiting) wake();
  }

  #end(
    request: Mutable<RecordedRequest>,
    end: { readonly outcome: Outcome; readonly atMs: number; readonly billing: Billing | undefined },
  ): void {
    if (request.outcome !== 'open') return;
    request.outcome = end.outcome;
    request.endedAtMs = end.atMs;
    this.#open--;
    const status = request.status === undefined ? 'none' : String(request.status);
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1;
    if (end.billing) this.#bill(request, end.billing);
    if (end.outcome !== 'completed' && this.#aborted.length < maxAborted) {
      const { index, eventsSent, outputTokensSent, outcome } = request;
      this.#aborted.push({ index, eventsSent, outputTokensSent, outcome });
    }
    this.#changed();
  }

  #bill(request: RecordedRequest, { model, usage }: Billing): void {
    const name = `${request.protocol}/${model}`;
    const bill = this.#billed[name] ?? emptyBill();
    this.#billed[name] = bill;
    const isWhole = request.outcome === 'completed' || !request.isStream;
    const outputTokens = isWhole ? usage.outputTokens : request.outputTokensSent;
    bill.requests++;
    bill.inputTokens += usage.inputTokens;
    bill.cacheReadTokens += usage.cacheReadTokens;
    bill.cacheWriteTokens += usage.cacheWriteTokens;
    bill.outputTokens += outputTokens;
    bill.thinkingTokens += Math.min(usage.thinkingTokens, outputTokens);
    if (!isWhole) bill.abortedStreams++;
  }
}

function emptyBill(): Bill {
  return {
    requests: 0,
    inputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 0,
    thinkingTokens: 0,
    abortedStreams: 0,
  };
}

/** The simulator's own hand on a record. */
export interface Entry {
  readonly request: Mutable<RecordedRequest>;
  changed(): void;
  end(outcome: Outcome, atMs: number, billing: Billing | undefined): void;
}
