/** A half-open range of bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const quote = 0x22;

/** The text of a scanned JSON string, quotes included in the range. */
export function decodeString(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start + 1, end - 1);
  if (!raw.includes('\\')) return raw;
  return JSON.parse(`"${raw}"`) as string; // a scanned string always parses to a string
}

/** The text, when the value is a string. */
export function stringAt(bytes: Buffer, value: Span | undefined): string | undefined {
  if (value === undefined || bytes[value.start] !== quote) return undefined;
  return decodeString(bytes, value.start, value.end);
}
