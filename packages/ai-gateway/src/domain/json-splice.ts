import type { Span } from '@strata/shared/json/json-text.ts';
import type { Edit } from '@strata/shared/json/splice.ts';
import type { ScannedObject } from './json-scan.ts';

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

/** The edits that take members out of the outermost object, with the commas that stood between. Every other byte stays. */
export function removeMembers(bytes: Buffer, object: ScannedObject, keys: ReadonlySet<string>): Edit[] {
  const { members } = object;
  const last = members.findLastIndex(member => !keys.has(member.key));
  return members.flatMap((member, index) => {
    if (!keys.has(member.key)) return [];
    const next = members[index + 1];
    // Before a member that stays, up to its key; behind the last one that stays, from the end of the one before.
    if (index < last && next !== undefined) {
      return [{ start: keyStart(bytes, member.value), end: keyStart(bytes, next.value), text: '' }];
    }
    const before = members[index - 1];
    return [{ start: before?.value.end ?? object.inside, end: member.value.end, text: '' }];
  });
}

/** The edits that give members of the outermost object another key. */
export function renameMembers(
  bytes: Buffer,
  object: ScannedObject,
  renames: Readonly<Record<string, string>>,
): Edit[] {
  return object.members.flatMap(({ key, value }) => {
    const name = Object.hasOwn(renames, key) ? renames[key] : undefined;
    if (name === undefined) return [];
    const start = keyStart(bytes, value);
    return [{ start, end: keyEnd(bytes, value), text: JSON.stringify(name) }];
  });
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** Just after the quote that closes the key of a scanned value. */
function keyEnd(bytes: Buffer, value: Span): number {
  let at = value.start - 1;
  while (bytes[at] !== colon) at--;
  while (bytes[at] !== quote) at--;
  return at + 1;
}

/** At the quote that opens it: going back, the first that no backslash hides. */
function keyStart(bytes: Buffer, value: Span): number {
  let at = keyEnd(bytes, value) - 2;
  while (bytes[at] !== quote || isEscaped(bytes, at)) at--;
  return at;
}

function isEscaped(bytes: Buffer, at: number): boolean {
  let backslashes = 0;
  while (bytes[at - 1 - backslashes] === backslash) backslashes++;
  return backslashes % 2 === 1;
}
