import { findLineEnd } from './find-line-end.ts';

/** One dispatched server-sent event (WHATWG HTML 9.2). */
export interface SseEvent {
  /** The `event:` field. `undefined` when absent or empty, which a browser would call `message`. */
  readonly event: string | undefined;
  /** The `data:` lines, joined with LF. */
  readonly data: string;
  /** The `id:` field of this very event; the reader keeps the last one seen. */
  readonly id: string | undefined;
  /** The `retry:` field, milliseconds. */
  readonly retryMs?: number;
}

/** What one block of lines says. `data` is `undefined` when it has no data line: then nothing is dispatched. */
export interface SseFields {
  readonly event: string | undefined;
  readonly data: string | undefined;
  readonly id: string | undefined;
  readonly retryMs: number | undefined;
}

const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const colon = 0x3a;

const dataField = Buffer.from('data');
const eventField = Buffer.from('event');
const idField = Buffer.from('id');
const retryField = Buffer.from('retry');

/**
 * The bytes of one block of lines, blank line included, exactly as they came: concatenated, the frames of a stream are the
 * stream. Looking inside costs nothing until asked for. Blocks without data (comments, keep-alives, lone blank lines) are
 * frames too, because a gateway that forwards bytes forwards those as well.
 */
export class SseFrame {
  /** May be a view into the chunk that was pushed: copy it to keep it beyond the stream's memory. */
  readonly bytes: Buffer;
  readonly #contentStart: number;

  constructor(bytes: Buffer, contentStart = 0) {
    this.bytes = bytes;
    this.#contentStart = contentStart;
  }

  /** The event this frame dispatches, or `undefined` when it has no data. */
  event(): SseEvent | undefined {
    const { event, data, id, retryMs } = this.fields();
    if (data === undefined) return undefined;
    return retryMs === undefined ? { event, data, id } : { event, data, id, retryMs };
  }

  /** The name in the last `event:` line. Decodes that line only. */
  name(): string | undefined {
    let name: string | undefined;
    this.#eachLine((start, end) => {
      const value = valueStart(this.bytes, start, end, eventField);
      if (value >= 0) name = this.bytes.toString('utf8', value, end) || undefined;
    });
    return name;
  }

  /** The data as bytes: a view when it is one line, a joined copy when it is more; `undefined` without a data line. */
  dataBytes(): Buffer | undefined {
    const lines: Buffer[] = [];
    this.#eachLine((start, end) => {
      const value = valueStart(this.bytes, start, end, dataField);
      if (value >= 0) lines.push(this.bytes.subarray(value, end));
    });
    if (lines.length < 2) return lines[0];
    const lineFeed = Buffer.of(lf);
    return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [lineFeed, line])));
  }

  /** Every field the reader acts on, decoded. */
  fields(): SseFields {
    const { bytes } = this;
    let event: string | undefined;
    let data: string | undefined;
    let more: string[] | undefined;
    let id: string | undefined;
    let retryMs: number | undefined;
    this.#eachLine((start, end) => {
      switch (bytes[start]) {
        case 0x64 /* d */:
          {
            const value = valueStart(bytes, start, end, dataField);
            if (value < 0) return;
            const text = bytes.toString('utf8', value, end);
            if (data === undefined) data = text;
            else if (more) more.push(text);
            else more = [data, text];
            return;
          }
        case 0x65 /* e */:
          {
            const value = valueStart(bytes, start, end, eventField);
            if (value >= 0) event = bytes.toString('utf8', value, end) || undefined;
            return;
          }
        case 0x69 /* i */:
          {
            const value = valueStart(bytes, start, end, idField);
            if (value < 0) return;
            const text = bytes.toString('utf8', value, end);
            if (!text.includes('\0')) id = text;
            return;
          }
        case 0x72 /* r */:
          {
            const value = valueStart(bytes, start, end, retryField);
            if (value >= 0) retryMs = parseRetry(bytes.toString('latin1', value, end)) ?? retryMs;
          }
      }
    });
    return { event, data: more ? more.join('\n') : data, id, retryMs };
  }

  #eachLine(visit: (start: number, end: number) => void): void {
    const { bytes } = this;
    const stop = bytes.length;
    const hasCr = bytes.includes(cr);
    for (let start = this.#contentStart; start < stop; ) {
      const end = findLineEnd(bytes, start, stop, hasCr);
      if (end > start) visit(start, end); // empty between the CR and the LF of a CR LF: says nothing
      start = end + 1;
    }
  }
}

/** Where the value of `field` begins in the line, after the colon and one optional space; -1 when it is another field. */
function valueStart(bytes: Buffer, start: number, end: number, field: Buffer): number {
  const afterName = start + field.length;
  if (afterName > end) return -1;
  for (let index = 0; index < field.length; index++) {
    if (bytes[start + index] !== field[index]) return -1;
  }
  if (afterName === end) return end;
  if (bytes[afterName] !== colon) return -1;
  return afterName + 1 < end && bytes[afterName + 1] === space ? afterName + 2 : afterName + 1;
}

function parseRetry(text: string): number | undefined {
  return /^[0-9]+$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : undefined;
}
