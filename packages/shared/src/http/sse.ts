import { GatewayError } from '../errors/gateway-error.ts';
import type { SseEvent } from './sse-frame.ts';
import { type SseLimits, type SseRest, SseScanner } from './sse-scanner.ts';

export type { SseEvent } from './sse-frame.ts';

export interface SseReaderOptions extends SseLimits {
  /**
   * Whether an event whose last line is complete and only whose blank line is missing counts when the stream ends.
   * WHATWG says no, and so is the default; some servers send their last event that way.
   */
  readonly acceptMissingBlankLine?: boolean;
}

/**
 * Reads server-sent events (WHATWG HTML 9.2.6) from bytes, however they are cut. To forward the bytes as well, or to look
 * at few events of many, use `SseScanner`.
 */
export class SseReader {
  readonly #scanner: SseScanner;
  readonly #acceptMissingBlankLine: boolean;
  #lastEventId = '';
  #retryMs: number | undefined;
  #unterminated: SseRest | undefined;

  constructor(options: SseReaderOptions = {}) {
    this.#scanner = new SseScanner(options);
    this.#acceptMissingBlankLine = options.acceptMissingBlankLine ?? false;
  }

  /** The last `id:` of a complete block, with data or without; what `Last-Event-ID` would carry. */
  get lastEventId(): string {
    return this.#lastEventId;
  }

  /** The last `retry:` of a complete block, with data or without. Milliseconds. */
  get retryMs(): number | undefined {
    return this.#retryMs;
  }

  /** After `end`: what the stream left behind without being dispatched. Something here with data means it was cut. */
  get unterminated(): SseRest | undefined {
    return this.#unterminated;
  }

  /** The events that `chunk` completes. Throws `upstream_failed` past a limit, as `SseScanner.push` does. */
  push(chunk: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    for (const frame of this.#scanner.push(chunk)) {
      const { event, data, id, retryMs } = frame.fields();
      if (id !== undefined) this.#lastEventId = id;
      if (retryMs !== undefined) this.#retryMs = retryMs;
      if (data === undefined) continue;
      events.push(retryMs === undefined ? { event, data, id } : { event, data, id, retryMs });
    }
    return events;
  }

  /** Ends the stream: nothing, or the one event that `acceptMissingBlankLine` lets in. The rest is in `unterminated`. */
  end(): SseEvent[] {
    const rest = this.#scanner.end();
    if (!rest) return [];
    const event = this.#acceptMissingBlankLine && rest.endsWithLine ? rest.frame.event() : undefined;
    if (!event) {
      this.#unterminated = rest;
      return [];
    }
    if (event.id !== undefined) this.#lastEventId = event.id;
    return [event];
  }
}

/** Response headers of every event stream we send. The last one stops nginx from collecting the stream before it sends. */
export const sseHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
} as const;

export interface OutgoingSseEvent {
  readonly event?: string | undefined;
  readonly data: string;
  readonly id?: string | undefined;
  readonly retryMs?: number | undefined;
}

/**
 * One event as text, blank line included. Whatever `data` holds, it stays inside this one event: each of its lines becomes
 * a `data:` line (A19). CR and CR LF come back as LF; nothing else changes. An event name or id that would break out of its
 * line is refused.
 */
export function formatSse({ event, data, id, retryMs }: OutgoingSseEvent): string {
  let text = '';
  if (event !== undefined) text += `event: ${singleLine('event', event)}\n`;
  if (id !== undefined) text += `id: ${singleLine('id', id)}\n`;
  if (retryMs !== undefined) text += `retry: ${Math.max(0, Math.round(retryMs))}\n`;
  if (!data.includes('\n') && !data.includes('\r')) return `${text}data: ${data}\n\n`;
  return `${text}data: ${data.split(/\r\n|\r|\n/).join('\ndata: ')}\n\n`;
}

/** A comment block, which every client skips: keeps a quiet connection open. */
export function formatSseComment(comment: string): string {
  return `: ${comment.split(/\r\n|\r|\n/).join('\n: ')}\n\n`;
}

function singleLine(field: 'event' | 'id', value: string): string {
  if (!/[\r\n\0]/.test(value)) return value;
  throw new GatewayError('internal', `An SSE ${field} must be one line without NUL`, {
    reason: 'sse_field_not_one_line',
  });
}
