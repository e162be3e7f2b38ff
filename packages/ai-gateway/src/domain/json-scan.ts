import {
  decodeString,
  defaultScanLimits,
  type ScanLimits,
  type ScannedObject,
  Scanner,
  type Span,
} from './json-scanner.ts';

/** Scans a whole document that must be an object. Accepts exactly what `JSON.parse` accepts. @throws JsonScanError */
export function scanObject(bytes: Buffer, limits: ScanLimits = defaultScanLimits): ScannedObject {
  const scanner = new Scanner(bytes, limits);
  return scanner.readDocument();
}

/**
 * Visits the keys of every object inside a value that was scanned before, at any depth. Used only for the small members
 * that hold options; never for messages.
 */
export function visitKeys(bytes: Buffer, value: Span, visit: (key: string) => void): void {
  const scanner = new Scanner(bytes, defaultScanLimits);
  scanner.visitKeys(value, visit);
}

/** The text, when the value is a string. */
export function stringAt(bytes: Buffer, value: Span | undefined): string | undefined {
  if (value === undefined || bytes[value.start] !== 0x22) return undefined;
  return decodeString(bytes, value.start, value.end);
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
