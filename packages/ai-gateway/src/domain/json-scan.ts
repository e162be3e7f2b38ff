import { JsonReader } from '@strata/shared/json/json-reader.ts';
import { decodeString, type Span } from '@strata/shared/json/json-text.ts';
import { JsonScanError, type ScanLimits } from '@strata/shared/json/scan-problem.ts';

/**
 * Where the members of the outermost object lie and nothing else. A body of 20 MB is passed over once, without a string
 * being made of it, and can then be changed in place (AI-2).
 */

/** One member of the outermost object. Keys may occur more than once; then each occurrence is here, in order. */
export interface Member {
  readonly key: string;
  readonly value: Span;
}

export interface ScannedObject {
  readonly members: readonly Member[];
  /** Offset just after the `{`. */
  readonly inside: number;
}

const bodyScanLimits: ScanLimits = { maxDepth: 64, maxNodes: 500_000 };

/** Scans a whole document that must be an object. Accepts exactly what `JSON.parse` accepts. @throws JsonScanError */
export function scanObject(bytes: Buffer, limits = bodyScanLimits): ScannedObject {
  const reader = new JsonReader(bytes, 0, bytes.length, limits);
  if (!reader.isAtObject())
    throw new JsonScanError('not-an-object', reader.at, 'The body is not a JSON object.');
  const inside = reader.at + 1;
  const members: Member[] = [];
  reader.readObject((keyStart, keyEnd) => {
    const value = { start: reader.skipValue(), end: reader.at };
    members.push({ key: decodeString(bytes, keyStart, keyEnd), value });
  });
  reader.expectEnd();
  return { members, inside };
}

/**
 * Visits the keys of every object inside a value that was scanned before, at any depth. Used only for the small members
 * that hold options; never for messages.
 */
export function visitKeys(bytes: Buffer, value: Span, visit: (key: string) => void): void {
  const reader = new JsonReader(bytes, value.start, value.end, bodyScanLimits);
  const walk = (): void => {
    if (reader.isAtArray()) reader.readArray(walk);
    else if (reader.isAtObject())
      reader.readObject((keyStart, keyEnd) => {
        visit(decodeString(bytes, keyStart, keyEnd));
        walk();
      });
    else reader.skipValue();
  };
  walk();
}

/** Where a member of each object in an array lies, every occurrence of it. The array must have been scanned before. */
export function membersOfElements(bytes: Buffer, array: Span, key: string): Span[] {
  const reader = new JsonReader(bytes, array.start, array.end, bodyScanLimits);
  const found: Span[] = [];
  if (!reader.isAtArray()) return found;
  reader.readArray(() => {
    if (!reader.isAtObject()) return void reader.skipValue();
    reader.readObject((keyStart, keyEnd) => {
      const value = { start: reader.skipValue(), end: reader.at };
      if (decodeString(bytes, keyStart, keyEnd) === key) found.push(value);
    });
  });
  return found;
}

/** Where the elements of an array lie; undefined where it is none. It must have been scanned before. */
export function elementsOf(bytes: Buffer, array: Span): Span[] | undefined {
  const reader = new JsonReader(bytes, array.start, array.end, bodyScanLimits);
  if (!reader.isAtArray()) return undefined;
  const found: Span[] = [];
  reader.readArray(() => found.push({ start: reader.skipValue(), end: reader.at }));
  return found;
}

/** The parsed value. The span must come from a scan of the same bytes. */
export function valueAt(bytes: Buffer, value: Span | undefined): unknown {
  if (value === undefined) return undefined;
  return JSON.parse(bytes.toString('utf8', value.start, value.end));
}

/** The member that `JSON.parse` would keep: the last one with this key. */
export function lastMember(object: ScannedObject, key: string): Span | undefined {
  return object.members.findLast(member => member.key === key)?.value;
}
