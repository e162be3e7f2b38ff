import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import { type SseLimits, SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { StreamDecoder } from '../domain/codec.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { NeutralEvent } from '../domain/neutral-event.ts';
import { parseObject } from './read-json.ts';

/** What a protocol makes of the data of its events, one after another. */
export interface JsonEventReader {
  read(data: JsonObject, name: string | undefined): readonly NeutralEvent[];
  /** Data that is a bare word, such as `[DONE]`; undefined when it is not one of the protocol's. */
  readWord?(word: string): readonly NeutralEvent[] | undefined;
  end(): readonly NeutralEvent[];
}

/** Server-sent events whose data is JSON. Data that is not breaks the stream: nobody knows what it would have said (F30). */
export function sseDecoder(reader: JsonEventReader, limits?: SseLimits): StreamDecoder {
  const scanner = new SseScanner(limits);
  const readFrame = (frame: SseFrame) => readData(frame, reader);
  return {
    push: chunk => scanner.push(chunk).flatMap(readFrame),
    end() {
      const rest = scanner.end();
      const last = rest === undefined ? [] : readLast(rest.frame, reader);
      return [...last, ...reader.end()];
    },
  };
}

function readData(frame: SseFrame, reader: JsonEventReader): readonly NeutralEvent[] {
  const data = frame.dataBytes();
  if (data === undefined || data.length === 0) return [];
  const object = parseObject(data);
  if (object !== undefined) return reader.read(object, frame.name());
  const said = data.length <= 16 ? reader.readWord?.(data.toString('utf8').trim()) : undefined;
  if (said !== undefined) return said;
  throw new GatewayError('upstream_failed', 'The upstream sent an event that is not valid JSON.', {
    reason: 'upstream_event_malformed',
  });
}

/** A last frame without its blank line counts when it is whole. */
function readLast(frame: SseFrame, reader: JsonEventReader): readonly NeutralEvent[] {
  try {
    return readData(frame, reader);
  } catch {
    return []; // it was cut, and so is the stream, which the missing finish says
  }
}
