import type { Span } from './json-text.ts';

/** Replaces the bytes of a span. An empty span inserts. */
export interface Edit extends Span {
  readonly text: Buffer | string;
}

/** Applies edits to a copy; every other byte stays as it was. The edits may come in any order and must not overlap. */
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
