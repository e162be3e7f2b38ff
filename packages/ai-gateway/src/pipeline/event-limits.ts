import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { ModelRequest, Protocol } from '../domain/protocol.ts';

const of = (bytes: number): SseLimits => ({ maxLineBytes: bytes, maxEventBytes: bytes });

/** Of an answer that was asked to hold pictures or sound, each of which comes in one event. */
const media = of(64 * 1024 * 1024);
const asksForMedia = ['"IMAGE"', '"imageConfig"', '"image_config"', '"image_generation"', '"modalities"'];

/**
 * How large an event of an upstream's stream may be. A line that never ends is a fault (F31) and is noticed early where there is only text;
 * a picture is larger than any text. Undefined: as for text.
 */
export function eventLimits(request: ModelRequest, { maxEventBytes }: Protocol): SseLimits | undefined {
  if (asksForMedia.some(each => request.body.includes(each))) return media;
  return maxEventBytes === undefined ? undefined : of(maxEventBytes);
}
