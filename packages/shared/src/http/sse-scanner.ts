import { GatewayError } from '../errors/gateway-error.ts';
import { findLineEnd } from './find-line-end.ts';
import { HeldBytes } from './held-bytes.ts';
import { SseFrame } from './sse-frame.ts';

export interface SseLimits {
  /** Longest line, without its end. Default 1 MiB. */
  readonly maxLineBytes?: number;
  /** Largest block of lines between two blank lines. Default 4 MiB. */
  readonly maxEventBytes?: number;
}

/** What a stream left behind without the blank line that would have completed it. */
export interface SseRest {
  readonly frame: SseFrame;
  /** Whether its last line was ended: then only the blank line is missing, else the stream was cut inside a line. */
  readonly endsWithLine: boolean;
}

const lf = 0x0a;
const cr = 0x0d;
const defaultMaxLineBytes = 1024 * 1024;
const defaultMaxEventBytes = 4 * 1024 * 1024;

/**
 * Cuts a byte stream into frames at blank lines (LF, CR or CR LF, in any mix and split anywhere) without decoding a
 * character. A frame inside one chunk is a view of it; only a frame that spans chunks is copied, once. Memory is bounded
 * by the limits, work by the bytes pushed.
 *
 * An event is out as soon as the CR of its blank line is here; a LF that follows in a later chunk is a frame of its own.
 */
export class SseScanner {
  readonly #maxLineBytes: number;
  readonly #maxEventBytes: number;
  readonly #held = new HeldBytes();
  #lineBytes = 0;
  #afterCr = false;
  #isFirstFrame = true;
  #failure: GatewayError | undefined;

  constructor(limits: SseLimits = {}) {
    this.#maxLineBytes = limits.maxLineBytes ?? defaultMaxLineBytes;
    this.#maxEventBytes = limits.maxEventBytes ?? defaultMaxEventBytes;
  }

  /**
   * The frames that `chunk` completes. Once a limit is passed it throws `upstream_failed` (`sse_line_too_long`,
   * `sse_event_too_large`), and ever after; frames completed before that point in the same chunk still come out first,
   * so what a reader sees does not depend on how the bytes were cut.
   */
  push(chunk: Uint8Array): SseFrame[] {
    if (this.#failure) throw this.#failure;
    const bytes = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const frames: SseFrame[] = [];
    try {
      this.#scan(bytes, frames);
    } catch (error) {
      if (frames.length === 0) throw error;
    }
    return frames;
  }

  #scan(bytes: Buffer, frames: SseFrame[]): void {
    const hasCr = bytes.includes(cr);
    let frameStart = 0;
    let position = 0;
    while (position < bytes.length) {
      const stop = Math.min(bytes.length, position + this.#maxLineBytes - this.#lineBytes + 1);
      const lineEnd = findLineEnd(bytes, position, stop, hasCr);
      this.#lineBytes += lineEnd - position;
      if (this.#lineBytes > this.#maxLineBytes) this.#fail('line');
      position = lineEnd;
      if (lineEnd === stop) continue; // no line end before the chunk's end
      const isLateLf = this.#afterCr && this.#lineBytes === 0 && bytes[lineEnd] === lf;
      position = this.#passLineEnd(bytes, lineEnd);
      // A blank line ends the frame; so does the late LF of a CR LF whose CR already ended one.
      const isBlank = this.#lineBytes === 0 && (!isLateLf || this.#held.bytes + lineEnd - frameStart === 0);
      this.#lineBytes = 0;
      if (!isBlank) continue;
      frames.push(this.#takeFrame(bytes.subarray(frameStart, position)));
      frameStart = position;
    }
    this.#checkEventSize(bytes.length - frameStart);
    this.#held.add(bytes.subarray(frameStart));
  }

  /** Ends the stream and hands out what was not completed by a blank line. */
  end(): SseRest | undefined {
    if (this.#failure) throw this.#failure;
    if (this.#held.bytes === 0) return undefined;
    const endsWithLine = this.#lineBytes === 0;
    return { frame: this.#takeFrame(Buffer.alloc(0)), endsWithLine };
  }

  /** Steps over CR, LF or CR LF, and remembers a CR whose LF may follow in the next chunk. */
  #passLineEnd(bytes: Buffer, lineEnd: number): number {
    const isCr = bytes[lineEnd] === cr;
    this.#afterCr = isCr && lineEnd + 1 === bytes.length;
    return isCr && bytes[lineEnd + 1] === lf ? lineEnd + 2 : lineEnd + 1;
  }

  /** The LF of a blank line's CR LF does not count: in a chunk of its own it would not be part of the event. */
  #takeFrame(tail: Buffer): SseFrame {
    this.#checkEventSize(tail.at(-1) === lf && tail.at(-2) === cr ? tail.length - 1 : tail.length);
    let bytes = tail;
    if (this.#held.bytes > 0) {
      this.#held.add(tail);
      bytes = this.#held.take();
    }
    const contentStart = this.#isFirstFrame && startsWithMark(bytes) ? 3 : 0;
    this.#isFirstFrame = false;
    return new SseFrame(bytes, contentStart);
  }

  #checkEventSize(moreBytes: number): void {
    if (this.#held.bytes + moreBytes > this.#maxEventBytes) this.#fail('event');
  }

  #fail(what: 'line' | 'event'): never {
    this.#held.clear();
    this.#failure =
      what === 'line'
        ? new GatewayError(
            'upstream_failed',
            `The upstream sent a line of more than ${this.#maxLineBytes} bytes`,
            {
              reason: 'sse_line_too_long',
            },
          )
        : new GatewayError(
            'upstream_failed',
            `The upstream sent an event of more than ${this.#maxEventBytes} bytes`,
            {
              reason: 'sse_event_too_large',
            },
          );
    throw this.#failure;
  }
}

function startsWithMark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}
