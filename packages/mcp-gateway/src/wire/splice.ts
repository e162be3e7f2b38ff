import type { Edit } from '@strata/shared/json/splice.ts';
import type { ScannedValue } from '../domain/frame.ts';

const quote = 0x22;

/** Takes members out of an object whose members were recorded, each with the comma that goes with it. */
export function withoutMembers(bytes: Buffer, object: ScannedValue, keys: ReadonlySet<string>): Edit[] {
  if (keys.size === 0) return [];
  const edits: Edit[] = [];
  let at = object.start + 1;
  let isFirst = true;
  for (const [key, span] of object.members ?? []) {
    // From the end of the member before to the end of this one, with the comma between them.
    if (keys.has(key)) edits.push({ start: at, end: span.end, text: '' });
    else if (isFirst) {
      if (at > object.start + 1) edits.push({ start: at, end: bytes.indexOf(quote, at), text: '' });
      isFirst = false;
    }
    at = span.end;
  }
  return edits;
}

/**
 * The same JSON on one line. In valid JSON a line break can only be space between tokens, so each becomes a blank;
 * needed wherever a line is a frame (stdio) or a field (server-sent events).
 */
export function onOneLine(bytes: Buffer): Buffer {
  if (!bytes.includes(0x0a) && !bytes.includes(0x0d)) return bytes;
  const copy = Buffer.from(bytes);
  for (let index = 0; index < copy.length; index++) {
    if (copy[index] === 0x0a || copy[index] === 0x0d) copy[index] = 0x20;
  }
  return copy;
}
