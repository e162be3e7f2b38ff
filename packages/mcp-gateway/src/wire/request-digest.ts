import { createHash } from 'node:crypto';
import type { RequestFrame } from '../domain/frame.ts';

/** Equal for requests that ask for the same: everything that is asked for, but not that it is asked again. */
export function digestOf(frame: RequestFrame): string {
  const hash = createHash('sha256').update(frame.method);
  const members = [...(frame.params?.members ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, span] of members) {
    if (key === '_meta' || key === 'inputResponses' || key === 'requestState') continue;
    hash.update(`\0${key}\0`).update(frame.bytes.subarray(span.start, span.end));
  }
  return hash.digest('base64url');
}
