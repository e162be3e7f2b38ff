import { takeRandomBytes } from './random-pool.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

const letters = Buffer.from(alphabet);
const timeLength = 10;
/** Of the last id: many are made in one millisecond. */
let last = { ms: 0, text: '0'.repeat(timeLength) };

/**
 * An unguessable id with a readable prefix: `run_` + 26 characters of Crockford base 32.
 * The first 48 bits are the time in milliseconds, so ids sort by creation; 80 bits are random (as in ULID).
 */
export function newId(prefix: string, nowMs: number = Date.now()): string {
  if (last.ms !== nowMs) last = { ms: nowMs, text: timeText(nowMs) };
  return `${prefix}_${last.text}${randomText(16)}`;
}

/** When an id of `newId` was made, in milliseconds. NaN when it is none. */
export function idTimeMs(id: string): number {
  let ms = 0;
  const at = id.indexOf('_') + 1;
  for (const letter of id.slice(at, at + timeLength).padEnd(timeLength)) {
    const value = alphabet.indexOf(letter);
    ms = value === -1 ? Number.NaN : ms * 32 + value;
  }
  return ms;
}

/** A secret handle with no time in it: `length` characters, 5 random bits each. */
export function randomText(length: number): string {
  const bytes = takeRandomBytes(length); // nobody else is given them, so they may become the letters
  for (let index = 0; index < length; index++) bytes[index] = letters[(bytes[index] ?? 0) & 31] ?? 0;
  return bytes.toString('latin1');
}

function timeText(ms: number): string {
  let text = '';
  let rest = ms;
  for (let index = 0; index < timeLength; index++) {
    text = alphabet.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
