import type { JsonObject } from '../../domain/json-object.ts';
import { openOwnFrames } from '../../domain/own-frames.ts';
import { asObject, asString, parseObject } from '../read-json.ts';

/** One event of a stream, read. */
export interface ResponseEvent {
  readonly type: string;
  readonly data: JsonObject;
  /** The response as it is at that moment; only events of its life have it. */
  readonly response: JsonObject | undefined;
}

/** The events in bytes that hold whole frames only. Comments are left out. */
export function readResponseEvents(bytes: Buffer): ResponseEvent[] {
  return openOwnFrames()
    .push(bytes)
    .flatMap(frame => {
      const data = frame.dataBytes();
      const read = data && parseObject(data);
      const type = asString(read?.type);
      return read === undefined || type === undefined
        ? []
        : [{ type, data: read, response: asObject(read.response) }];
    });
}

export function writeResponseEvent(data: JsonObject & { readonly type: string }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Says in a whole answer what its client asked for and the upstream was not told. */
export function restoreResponse(body: Buffer, members: JsonObject): Buffer {
  const response = parseObject(body);
  return response === undefined ? body : Buffer.from(JSON.stringify({ ...response, ...members }));
}

/** The same for the responses in whole frames of a stream. Frames without one stay as they are. */
export function restoreFrames(bytes: Buffer, members: JsonObject): Buffer {
  const frames = openOwnFrames()
    .push(bytes)
    .map(frame => {
      const data = frame.dataBytes();
      const event = data?.includes('"response"') ? parseObject(data) : undefined;
      const type = asString(event?.type);
      const response = asObject(event?.response);
      if (event === undefined || type === undefined || response === undefined) return frame.bytes;
      return Buffer.from(writeResponseEvent({ ...event, type, response: { ...response, ...members } }));
    });
  return Buffer.concat(frames);
}
