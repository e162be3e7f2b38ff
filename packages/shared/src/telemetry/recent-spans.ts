import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import { toldSpan } from './first-span.ts';

/** A finished span as `GET /admin/v1/traces/{traceId}` shows it. */
export interface RecordedSpan {
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id: string | undefined;
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  /** Nanoseconds since the epoch, as text: they do not fit a JSON number. */
  readonly start_unix_nano: string;
  readonly end_unix_nano: string;
  readonly status: 'unset' | 'ok' | 'error';
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** The last finished spans of this process, in a ring: the newest push out the oldest. */
export class RecentSpans implements SpanProcessor {
  readonly #service: string;
  readonly #capacity: number;
  readonly #ring: ReadableSpan[] = [];
  #next = 0;

  constructor(service: string, capacity: number) {
    this.#service = service;
    this.#capacity = capacity;
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    this.#ring[this.#next] = toldSpan(span);
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Spans of one trace by start time. */
  ofTrace(traceId: string): RecordedSpan[] {
    return this.#ring
      .filter(span => span.spanContext().traceId === traceId)
      .map(span => this.#show(span))
      .sort((left, right) => (BigInt(left.start_unix_nano) < BigInt(right.start_unix_nano) ? -1 : 1));
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    this.#ring.length = 0;
  }

  #show(span: ReadableSpan): RecordedSpan {
    const { traceId, spanId } = span.spanContext();
    return {
      trace_id: traceId,
      span_id: spanId,
      parent_span_id: span.parentSpanContext?.spanId,
      service: this.#service,
      name: span.name,
      kind: kindNames[span.kind],
      start_unix_nano: nanoseconds(span.startTime),
      end_unix_nano: nanoseconds(span.endTime),
      status: statusNames[span.status.code],
      attributes: span.attributes,
    };
  }
}

const statusNames = {
  [SpanStatusCode.UNSET]: 'unset',
  [SpanStatusCode.OK]: 'ok',
  [SpanStatusCode.ERROR]: 'error',
} as const;

function nanoseconds([seconds, nanos]: readonly [number, number]): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
}

const kindNames = {
  [SpanKind.INTERNAL]: 'internal',
  [SpanKind.SERVER]: 'server',
  [SpanKind.CLIENT]: 'client',
  [SpanKind.PRODUCER]: 'producer',
  [SpanKind.CONSUMER]: 'consumer',
} as const;
