import { EventStreamCodec } from '@smithy/eventstream-codec';
import { GatewayError } from '../errors/gateway-error.ts';
import { HeldBytes } from './held-bytes.ts';

/** One message of an AWS event stream, as far as gateways look at it. */
export interface AwsEvent {
  /** `event`, `exception` or `error`. */
  readonly messageType: string;
  /** Its `:event-type`, `:exception-type` or `:error-code`. */
  readonly type: string;
  readonly payload: Buffer;
  /** The whole message as it came: a view of what was pushed, or a copy when it spans chunks. */
  readonly bytes: Buffer;
}

export const awsEventStreamType = 'application/vnd.amazon.eventstream';

const codec = new EventStreamCodec(
  bytes => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(),
  text => Buffer.from(text),
);

/** Two lengths, their checksum and the checksum of the message. */
const minMessageBytes = 16;
const defaultMaxMessageBytes = 16 * 1024 * 1024 + 128 * 1024;

/**
 * Cuts `application/vnd.amazon.eventstream` into messages, however its bytes are split; both checksums of each are checked (by
 * `@smithy/eventstream-codec`). Memory is bounded by `maxMessageBytes`, work by the bytes pushed.
 */
export class AwsEventReader {
  readonly #maxMessageBytes: number;
  readonly #held = new HeldBytes();
  /** Of the message that is held; 0 while its length is not known. */
  #wantedBytes = 0;
  #failure: GatewayError | undefined;

  constructor(options: { maxMessageBytes?: number } = {}) {
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
  }

  /**
   * The messages that `chunk` completes. Bytes that are no such message throw `upstream_failed` (`aws_event_malformed`,
   * `aws_event_too_large`), and ever after; messages completed before that point in the same chunk still come out first.
   */
  push(chunk: Uint8Array): AwsEvent[] {
    if (this.#failure) throw this.#failure;
    const events: AwsEvent[] = [];
    try {
      this.#cut(toBuffer(chunk), events);
    } catch (error) {
      this.#failure = error instanceof GatewayError ? error : malformed(error);
      this.#held.clear();
      if (events.length === 0) throw this.#failure;
    }
    return events;
  }

  /** Ends the stream. Throws what `push` found after the last message it gave out. */
  end(): void {
    if (this.#failure) throw this.#failure;
  }

  #cut(bytes: Buffer, events: AwsEvent[]): void {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#held.bytes === 0 && rest.length >= 4) {
        const length = this.#checkLength(rest.readUInt32BE(0));
        if (rest.length < length) break;
        events.push(readEvent(rest.subarray(0, length)));
        rest = rest.subarray(length);
        continue;
      }
      const message = this.#fill(rest);
      if (message === undefined) return;
      events.push(readEvent(message.bytes));
      rest = message.rest;
    }
    if (rest.length > 0) this.#fill(rest);
  }

  /** Adds to the message that began in an earlier chunk; gives it out once it is complete. */
  #fill(bytes: Buffer): { bytes: Buffer; rest: Buffer } | undefined {
    let rest = bytes;
    if (this.#wantedBytes === 0) {
      const missing = Math.max(0, 4 - this.#held.bytes);
      this.#held.add(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      if (this.#held.bytes < 4) return undefined;
      const head = this.#held.take();
      this.#held.add(head);
      this.#wantedBytes = this.#checkLength(head.readUInt32BE(0));
    }
    const missing = this.#wantedBytes - this.#held.bytes;
    this.#held.add(rest.subarray(0, missing));
    if (rest.length < missing) return undefined;
    this.#wantedBytes = 0;
    return { bytes: this.#held.take(), rest: rest.subarray(missing) };
  }

  #checkLength(length: number): number {
    if (length < minMessageBytes) throw malformed(new RangeError(`A message of ${length} bytes`));
    if (length > this.#maxMessageBytes) {
      throw new GatewayError('upstream_failed', `The upstream sent a message of ${length} bytes.`, {
        reason: 'aws_event_too_large',
      });
    }
    return length;
  }
}

function readEvent(bytes: Buffer): AwsEvent {
  const { headers, body } = codec.decode(bytes);
  const text = (name: string): string | undefined => {
    const header = headers[name];
    return header?.type === 'string' ? header.value : undefined;
  };
  return {
    messageType: text(':message-type') ?? 'event',
    type: text(':event-type') ?? text(':exception-type') ?? text(':error-code') ?? '',
    payload: toBuffer(body),
    bytes,
  };
}

/** One message with a JSON payload. */
export function formatAwsEvent(options: {
  messageType: 'event' | 'exception';
  type: string;
  payload: object;
}): Buffer {
  const typeHeader = options.messageType === 'event' ? ':event-type' : ':exception-type';
  const bytes = codec.encode({
    headers: {
      [typeHeader]: { type: 'string', value: options.type },
      ':content-type': { type: 'string', value: 'application/json' },
      ':message-type': { type: 'string', value: options.messageType },
    },
    body: Buffer.from(JSON.stringify(options.payload)),
  });
  return toBuffer(bytes);
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(cause: unknown): GatewayError {
  return new GatewayError('upstream_failed', 'The upstream sent bytes that are no event stream message.', {
    reason: 'aws_event_malformed',
    cause,
  });
}
