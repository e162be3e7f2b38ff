import type { Span } from '../domain/frame.ts';

const quote = 0x22;

/** The text of a scanned JSON string. */
export function decodeString(bytes: Buffer, span: Span): string {
  const raw = bytes.toString('utf8', span.start + 1, span.end - 1);
  if (!raw.includes('\\')) return raw;
  return JSON.parse(`"${raw}"`) as string; // a scanned string always parses to a string
}

/** The text, when the value is a string. */
export function stringAt(bytes: Buffer, value: Span | undefined): string | undefined {
  if (value === undefined || bytes[value.start] !== quote) return undefined;
  return decodeString(bytes, value);
}

/** Bytes the escape at `at` takes; 0 when it is not one. */
export function escapeWidth(bytes: Buffer, at: number, end: number): number {
  const letter = at + 1 < end ? (bytes[at + 1] as number) : -1; // inside the bounds just checked
  if ('"\\/bfnrt'.includes(String.fromCharCode(letter)) && letter > 0) return 2;
  if (letter !== 0x75 || at + 6 > end) return 0;
  return /^[0-9a-fA-F]{4}$/.test(bytes.toString('latin1', at + 2, at + 6)) ? 6 : 0;
}
