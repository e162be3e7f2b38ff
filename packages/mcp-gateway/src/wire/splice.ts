import type { ScannedValue, Span } from '../domain/frame.ts';

const quote = 0x22;

/** Replaces the bytes of a span. An empty span inserts. */
export interface Edit extends Span {
  readonly text: Buffer | string;
}

/** Applies edits to a copy. The edits may come in any order; they must not overlap. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes;
  const ordered = isOrdered(edits) ? edits : [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  const result = Buffer.allocUnsafe(splicedLength(bytes, ordered));
  let from = 0;
  let to = 0;
  for (const { start, end, text } of ordered) {
    to += bytes.copy(result, to, from, start);
    to += typeof text === 'string' ? result.write(text, to) : text.copy(result, to);
    from = end;
  }
  bytes.copy(result, to, from);
  return result;
}

function isOrdered(edits: readonly Edit[]): boolean {
  let at = 0;
  for (const { start, end } of edits) {
    if (start < at) return false;
    at = end;
  }
  return true;
}

function splicedLength(bytes: Buffer, ordered: readonly Edit[]): number {
  let length = bytes.length;
  let at = 0;
  for (const { start, end, text } of ordered) {
    if (start < at) throw new RangeError('Edits overlap');
    length += (typeof text === 'string' ? Buffer.byteLength(text) : text.length) - (end - start);
    at = end;
  }
  return length;
}

/** Takes members out of an object whose members were recorded, each with the comma that goes with it. */
export function withoutMembers(bytes: Buffer, object: ScannedValue, keys: ReadonlySet<string>): Edit[] {
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
