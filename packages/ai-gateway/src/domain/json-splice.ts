import type { ScannedObject, Span } from './json-scanner.ts';

/** Replaces the bytes of a span. An empty span inserts. */
export interface Edit extends Span {
  readonly text: string;
}

/** Applies edits to a copy; every other byte stays as it was. The edits may come in any order and must not overlap. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes;
  const ordered = edits.length === 1 ? edits : [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  const parts: Buffer[] = [];
  let at = 0;
  for (const edit of ordered) {
    if (edit.start < at) throw new RangeError('Edits overlap');
    parts.push(bytes.subarray(at, edit.start), Buffer.from(edit.text));
    at = edit.end;
  }
  parts.push(bytes.subarray(at));
  return Buffer.concat(parts);
}

/**
 * The edits that make a member of the outermost object read `json`. Every occurrence of the key is replaced, so that a
 * parser that keeps the first and one that keeps the last read the same; an absent key is put in front.
 */
export function setMember(object: ScannedObject, key: string, json: string): Edit[] {
  const edits = object.members
    .filter(member => member.key === key)
    .map(member => ({ ...member.value, text: json }));
  if (edits.length > 0) return edits;
  const separator = object.members.length === 0 ? '' : ',';
  const text = `${JSON.stringify(key)}:${json}${separator}`;
  return [{ start: object.inside, end: object.inside, text }];
}
