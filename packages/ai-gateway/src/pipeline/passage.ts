import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { AwsEventReader } from '@strata/shared/http/aws-event-stream.ts';
import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import { type SseLimits, SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { AnswerFacts, AwsStreamReader, FrameRole, StreamReader } from '../domain/protocol.ts';

/** What one piece of an upstream's stream becomes for the client. */
export interface Passed {
  readonly bytes: readonly Buffer[];
  /** How many of the upstream's events were read. */
  readonly events: number;
  /** Whether anything meaningful was among them. */
  readonly hasContent: boolean;
  /** Set with the last bytes of all. `error`: they hold the protocol's own error event. */
  readonly end: 'terminal' | 'error' | undefined;
}

/** How the bytes of one stream get from the upstream to the client: as they are, or translated. */
export interface Passage {
  /** @throws GatewayError upstream_failed when the bytes are no stream. */
  push(chunk: Buffer): Passed;
  /** The upstream ended its body. Undefined when the answer is not complete. */
  end(): Passed | undefined;
  readonly facts: AnswerFacts;
  /** The codes of the error event that was read, most specific first. */
  readonly errorCodes: readonly string[];
  /** The client's protocol's own way to end a stream with an error. */
  renderError(error: GatewayError): Buffer;
}

export interface RawPassageOptions {
  /** Cuts the frames out of what a host puts around them. */
  unwrapper?: { push(chunk: Buffer): Buffer; end(): void } | undefined;
  /** Of its events, where they may be larger than text is. */
  limits?: SseLimits | undefined;
  renderError(error: GatewayError): string | Buffer;
  /** What goes in front of the terminal event, if anything. */
  beforeTerminal?: () => string | undefined;
}

/** Cuts a stream into frames. */
interface Scanner<Frame> {
  push(chunk: Buffer): readonly Frame[];
  end(): { readonly frame: Frame; readonly endsWithLine: boolean } | undefined;
}

interface Reader<Frame> extends Omit<StreamReader, 'read'> {
  read(frame: Frame): FrameRole;
}

export function openRawPassage(reader: StreamReader | AwsStreamReader, options: RawPassageOptions): Passage {
  if ('frames' in reader) return new RawPassage(awsScanner(), reader, options);
  if (options.unwrapper !== undefined) return new RawPassage(unwrapping(options.unwrapper), reader, options);
  return new RawPassage(new SseScanner(options.limits), reader, options);
}

function unwrapping(unwrapper: NonNullable<RawPassageOptions['unwrapper']>): Scanner<SseFrame> {
  const frames = new SseScanner();
  return {
    push: chunk => frames.push(unwrapper.push(chunk)),
    end() {
      unwrapper.end();
      return undefined; // half a message says nothing
    },
  };
}

function awsScanner() {
  const events = new AwsEventReader();
  return {
    push: (chunk: Buffer) => events.push(chunk),
    end() {
      events.end();
      return undefined; // half a message says nothing
    },
  };
}

/** Same protocol in and out: whole frames pass as they came (AI-2). A frame that the upstream never finished does not. */
class RawPassage<Frame extends { readonly bytes: Buffer }> implements Passage {
  readonly #options: RawPassageOptions;
  readonly #scanner: Scanner<Frame>;
  readonly #reader: Reader<Frame>;
  /** Bytes inside the scanner: the beginning of a frame that is not complete. */
  #partialBytes = 0;

  constructor(scanner: Scanner<Frame>, reader: Reader<Frame>, options: RawPassageOptions) {
    this.#scanner = scanner;
    this.#reader = reader;
    this.#options = options;
  }

  get facts(): AnswerFacts {
    return this.#reader.facts;
  }

  get errorCodes(): readonly string[] {
    return this.#reader.errorCodes;
  }

  push(chunk: Buffer): Passed {
    const frames = this.#scanner.push(chunk);
    const passed = this.#read(frames);
    if (this.#options.unwrapper !== undefined) return passed;
    return this.#isWholeChunk(chunk, frames, passed.bytes) ? { ...passed, bytes: [chunk] } : passed;
  }

  end(): Passed | undefined {
    const rest = this.#takeRest();
    if (rest?.end !== undefined) return rest;
    const { beforeTerminal } = this.#options;
    const terminal = this.#reader.missingTerminal();
    if (terminal === undefined) return undefined;
    const bytes = [Buffer.from(`${beforeTerminal?.() ?? ''}${terminal}`)];
    return { bytes, events: 0, hasContent: true, end: 'terminal' };
  }

  renderError(error: GatewayError): Buffer {
    return Buffer.from(this.#reader.errorEvent?.(error) ?? this.#options.renderError(error));
  }

  /** The bytes that may pass, up to and with the frame that ends the stream. */
  #read(frames: readonly Frame[]): Passed {
    const { beforeTerminal } = this.#options;
    const bytes: Buffer[] = [];
    let hasContent = false;
    let end: Passed['end'];
    for (const frame of frames) {
      const role = this.#reader.read(frame);
      if (role === 'hidden') continue;
      if (role === 'content') hasContent = true;
      if (role === 'terminal') {
        const extra = beforeTerminal?.();
        if (extra !== undefined) bytes.push(Buffer.from(extra));
        hasContent = true;
        end = 'terminal';
      } else if (role === 'error') {
        end = 'error';
      }
      bytes.push(frame.bytes);
      if (end !== undefined) break;
    }
    return { bytes, events: frames.length, hasContent, end };
  }

  /** Whether what passes is exactly the chunk, which then needs no copy. */
  #isWholeChunk(chunk: Buffer, frames: readonly Frame[], passing: readonly Buffer[]): boolean {
    const wasPartial = this.#partialBytes > 0;
    let bytes = 0;
    for (const frame of frames) bytes += frame.bytes.length;
    this.#partialBytes += chunk.length - bytes;
    if (wasPartial || this.#partialBytes > 0 || passing.length === 0) return false;
    return passing.length === frames.length && frames.every((frame, at) => frame.bytes === passing[at]);
  }

  /** A last frame without its blank line counts only when it is the one that ends the stream. */
  #takeRest(): Passed | undefined {
    try {
      const rest = this.#scanner.end();
      if (rest === undefined) return undefined;
      const passed = this.#read([rest.frame]);
      return { ...passed, bytes: [...passed.bytes, Buffer.from(rest.endsWithLine ? '\n' : '\n\n')] };
    } catch {
      return undefined; // a frame over the limits: the stream is cut, which the caller says
    }
  }
}
