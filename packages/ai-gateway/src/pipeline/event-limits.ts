import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import { lastMember } from '../domain/json-scan.ts';
import { type ModelRequest, maxMediaEventBytes, type Protocol } from '../domain/protocol.ts';

const of = (bytes: number): SseLimits => ({ maxLineBytes: bytes, maxEventBytes: bytes });

/** What asks for pictures or sound in the answer, by the outermost member where it stands: a prompt may speak of anything. */
const asksForMedia: Readonly<Record<string, readonly string[]>> = {
  modalities: ['"image"', '"audio"'],
  image_config: ['{'],
  generationConfig: ['"IMAGE"', '"AUDIO"', '"imageConfig"'],
  tools: ['"image_generation"'],
};

/**
 * How large an event of an upstream's stream may be. A line that never ends is a fault (F31) and is noticed early where there is only text;
 * a picture is larger than any text and comes in one event. Undefined: as for text.
 */
export function eventLimits(request: ModelRequest, { maxEventBytes }: Protocol): SseLimits | undefined {
  if (wantsMedia(request)) return of(maxMediaEventBytes);
  return maxEventBytes === undefined ? undefined : of(maxEventBytes);
}

function wantsMedia({ body, scanned }: ModelRequest): boolean {
  for (const key in asksForMedia) {
    const value = lastMember(scanned, key);
    if (value === undefined) continue;
    const written = body.subarray(value.start, value.end);
    if (asksForMedia[key]?.some(mark => written.includes(mark))) return true;
  }
  return false;
}
