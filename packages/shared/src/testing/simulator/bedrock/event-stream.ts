import { EventStreamCodec } from '@smithy/eventstream-codec';
import type { ApiError, Frame } from '../http/protocol.ts';
import { errorType } from './errors.ts';

const codec = new EventStreamCodec(
  bytes => Buffer.from(bytes).toString(),
  text => Buffer.from(text),
);

export const eventStreamType = 'application/vnd.amazon.eventstream';

const padding = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** One binary event. Bedrock pads payloads with `p`, so that their length says little about the text. */
export function eventFrame(type: string, payload: object, tokens = 0): Frame {
  const json = JSON.stringify(payload);
  const padded = { ...payload, p: padding.slice(0, 4 + (json.length % 40)) };
  return { bytes: encode({ ':event-type': type, ':message-type': 'event' }, padded), tokens };
}

/** The way of this wire to say in a stream that it failed. */
export function exceptionFrame(error: ApiError): Uint8Array {
  const type = error.status === 500 ? 'modelStreamErrorException' : camelCase(errorType(error.status));
  return encode({ ':exception-type': type, ':message-type': 'exception' }, { message: error.message });
}

/** An event whose checksum is wrong. */
export function brokenFrame(): Uint8Array {
  const bytes = Buffer.from(eventFrame('contentBlockDelta', {}).bytes);
  const last = bytes.length - 1;
  bytes.writeUInt8((bytes[last] ?? 0) ^ 0xff, last);
  return bytes;
}

function encode(headers: Readonly<Record<string, string>>, payload: object): Uint8Array {
  const all: Readonly<Record<string, string>> = { ...headers, ':content-type': 'application/json' };
  return codec.encode({
    headers: Object.fromEntries(
      Object.entries(all).map(([name, value]) => [name, { type: 'string' as const, value }]),
    ),
    body: Buffer.from(JSON.stringify(payload)),
  });
}

function camelCase(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
