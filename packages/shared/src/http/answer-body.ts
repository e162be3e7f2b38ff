import { Readable } from 'node:stream';
import { GatewayError } from '../errors/gateway-error.ts';

export interface BodySource {
  /** The reader has room again. */
  resume(): void;
  /** The reader has none: nothing more should come. */
  pause(): void;
  /** The reader will take everything, as fast as it comes. */
  willTakeAll(): void;
  /** The reader has gone, or has everything. */
  left(): void;
}

/** Takes the bytes of an answer in whatever form they were asked for. */
interface Reader {
  /** Null after the last byte. False when the source should wait for `resume`. */
  push(chunk: Buffer | null): boolean;
  destroy(error: Error): void;
}

/** With more than this of what nobody has read yet the source is not read again. */
const bufferBytes = 16 * 1024;

/**
 * The bytes of one answer until somebody says how they are wanted: as a stream, or all at once. Most answers are wanted whole, and
 * a stream of Node's costs more than all else that is done with a short one.
 */
export class AnswerBody {
  readonly #source: BodySource;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #hasEnded = false;
  #error: Error | undefined;
  #reader: Reader | undefined;
  #stream: Readable | undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  push(chunk: Buffer | null): boolean {
    if (this.#reader !== undefined) return this.#reader.push(chunk);
    if (chunk === null) {
      this.#hasEnded = true;
      return true;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    return this.#heldBytes < bufferBytes;
  }

  destroy(error: Error): void {
    this.#error ??= error;
    this.#reader?.destroy(error);
  }

  /** The same stream at each call. */
  stream(): Readable {
    if (this.#stream === undefined) {
      this.#stream = new BodyStream(this.#source);
      this.#attach(this.#stream);
    }
    return this.#stream;
  }

  /** Everything, at once where it has all come. A body that is larger than `maxBytes` is given up. */
  readAll(maxBytes: number): Promise<Buffer> | Buffer {
    const isHere = this.#hasEnded && this.#error === undefined && this.#heldBytes <= maxBytes;
    if (isHere && this.#reader === undefined) {
      this.#reader = nobody;
      return joined(this.#held, this.#heldBytes);
    }
    return new Promise((resolve, reject) => {
      this.#source.willTakeAll();
      this.#attach(new Collector(this.#source, { maxBytes, resolve, reject }));
      this.#source.resume();
    });
  }

  #attach(reader: Reader): void {
    if (this.#reader !== undefined) throw new Error('The body of an answer has one reader');
    this.#reader = reader;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) reader.push(chunk);
    if (this.#error !== undefined) reader.destroy(this.#error);
    else if (this.#hasEnded) reader.push(null);
  }
}

/** Of a body that was given away. */
const nobody: Reader = { push: () => true, destroy: () => {} };

function joined(chunks: readonly Buffer[], bytes: number): Buffer {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, bytes);
}

class Collector implements Reader {
  readonly #source: BodySource;
  readonly #options: { maxBytes: number; resolve(bytes: Buffer): void; reject(error: unknown): void };
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(
    source: BodySource,
    options: { maxBytes: number; resolve(bytes: Buffer): void; reject(error: unknown): void },
  ) {
    this.#source = source;
    this.#options = options;
  }

  push(chunk: Buffer | null): boolean {
    if (chunk === null) {
      this.#options.resolve(joined(this.#chunks, this.#bytes));
      return true;
    }
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBytes) {
      this.#options.reject(answerTooLarge(this.#options.maxBytes));
      this.#source.left();
      return true;
    }
    this.#chunks.push(chunk);
    return true;
  }

  destroy(error: Error): void {
    this.#options.reject(error);
  }
}

/** A stream that holds nothing itself while it is paused: the source is paused with it, in the middle of what it was handing out (F44). */
class BodyStream extends Readable {
  readonly #source: BodySource;
  #isHeld = false;

  constructor(source: BodySource) {
    super({ highWaterMark: bufferBytes });
    this.#source = source;
    // An answer can break before anybody reads it. Whoever reads it later still gets the error.
    this.on('error', () => {});
  }

  override _read(): void {
    if (!this.#isHeld) this.#source.resume();
  }

  override pause(): this {
    this.#isHeld = true;
    this.#source.pause();
    return super.pause();
  }

  override resume(): this {
    this.#isHeld = false;
    this.#source.resume();
    return super.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source.left();
    callback(error);
  }
}

export function answerTooLarge(maxBytes: number): GatewayError {
  return new GatewayError('upstream_failed', `The upstream's answer is larger than ${maxBytes} bytes.`, {
    reason: 'upstream_answer_too_large',
  });
}
