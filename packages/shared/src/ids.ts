import { takeRandomBytes } from './random-pool.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * An unguessable id with a readable prefix: `run_` + 26 characters of Crockford base 32.
 * The first 48 bits are the time in milliseconds, so ids sort by creation; 80 bits are random (as in ULID).
 */
export function newId(prefix: string, nowMs: number = Date.now()): string {
  let time = '';
  let rest = nowMs;
  for (let index = 0; index < 10; index++) {
    time = alphabet.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  return `${prefix}_${time}${randomText(16)}`;
}

/** A secret handle with no time in it: `length` characters, 5 random bits each. */
export function randomText(length: number): string {
  let text = '';
  for (const byte of takeRandomBytes(length)) text += alphabet.charAt(byte & 31);
  return text;
}
