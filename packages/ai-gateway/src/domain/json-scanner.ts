/**
 * A strict JSON scan over bytes that records where the members of the outermost object lie and nothing else. A body of
 * 20 MB is passed over once, without a string being made of it, and can then be changed in place (AI-2).
 */

/** A half-open range of bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

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

export interface ScanLimits {
  readonly maxDepth: number;
  /** Objects' members and arrays' elements together. */
  readonly maxNodes: number;
}

export const defaultScanLimits: ScanLimits = { maxDepth: 64, maxNodes: 500_000 };

export type ScanProblem = 'syntax' | 'not-an-object' | 'too-deep' | 'too-many-values';

export class JsonScanError extends Error {
  override readonly name = 'JsonScanError';
  readonly problem: ScanProblem;
  /** Offset of the byte at which the scan stopped. */
  readonly at: number;

  constructor(problem: ScanProblem, at: number, message: string) {
    super(message);
    this.problem = problem;
    this.at = at;
  }
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** The text of a scanned JSON string, quotes included in the range. */
export function decodeString(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start + 1, end - 1);
  if (!raw.includes('\\')) return raw;
  return JSON.parse(`"${raw}"`) as string; // a scanned string always parses to a string
}

export class Scanner {
  readonly #bytes: Buffer;
  readonly #limits: ScanLimits;
  #at = 0;
  #depth = 0;
  #nodes = 0;
  #visit: ((key: string) => void) | undefined;

  constructor(bytes: Buffer, limits: ScanLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  readDocument(): ScannedObject {
    this.#skipSpace();
    if (this.#bytes[this.#at] !== openBrace) {
      throw new JsonScanError('not-an-object', this.#at, 'The body is not a JSON object.');
    }
    const inside = this.#at + 1;
    const members: Member[] = [];
    this.#skipObject(members);
    this.#skipSpace();
    if (this.#at !== this.#bytes.length) this.#fail('there is more after the object');
    return { members, inside };
  }

  visitKeys(value: Span, visit: (key: string) => void): void {
    this.#at = value.start;
    this.#visit = visit;
    this.#skipValue();
  }

  #skipValue(): void {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === quote) this.#skipString();
    else if (byte === openBrace) this.#skipObject(undefined);
    else if (byte === openBracket) this.#skipArray();
    else if (byte === minus || isDigit(byte)) this.#skipNumber();
    else this.#skipLiteral(byte);
  }

  /** With `members`, records them; else only passes over. */
  #skipObject(members: Member[] | undefined): void {
    this.#enter();
    this.#skipSpace();
    let isOpen = this.#bytes[this.#at] !== closeBrace;
    while (isOpen) {
      this.#skipSpace();
      const keyStart = this.#at;
      if (this.#bytes[keyStart] !== quote) this.#fail('a key was expected');
      this.#skipString();
      const keyEnd = this.#at;
      this.#visit?.(decodeString(this.#bytes, keyStart, keyEnd));
      this.#skipSpace();
      if (this.#bytes[this.#at] !== colon) this.#fail("':' was expected");
      this.#at++;
      this.#count();
      this.#skipSpace();
      const start = this.#at;
      this.#skipValue();
      members?.push({ key: decodeString(this.#bytes, keyStart, keyEnd), value: { start, end: this.#at } });
      isOpen = this.#hasNext(closeBrace);
    }
    this.#leave();
  }

  #skipArray(): void {
    this.#enter();
    this.#skipSpace();
    let isOpen = this.#bytes[this.#at] !== closeBracket;
    while (isOpen) {
      this.#count();
      this.#skipValue();
      isOpen = this.#hasNext(closeBracket);
    }
    this.#leave();
  }

  /** After an element: steps over a comma, stays before the closing byte. */
  #hasNext(close: number): boolean {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === comma) {
      this.#at++;
      return true;
    }
    if (byte !== close) this.#fail(`',' or '${String.fromCharCode(close)}' was expected`);
    return false;
  }

  #skipString(): void {
    const bytes = this.#bytes;
    const end = bytes.length;
    let at = this.#at + 1;
    while (at < end) {
      const byte = bytes[at] as number; // at < end
      if (byte === quote) {
        this.#at = at + 1;
        return;
      }
      if (byte < 0x20) break;
      const width = byte === backslash ? escapeWidth(bytes, at) : 1;
      if (width === 0) break;
      at += width;
    }
    this.#at = Math.min(at, end);
    this.#fail('a string does not end well');
  }

  #skipNumber(): void {
    if (this.#bytes[this.#at] === minus) this.#at++;
    if (this.#bytes[this.#at] === zero) this.#at++;
    else this.#skipDigits();
    if (this.#bytes[this.#at] === 0x2e) {
      this.#at++;
      this.#skipDigits();
    }
    const exponent = this.#bytes[this.#at];
    if (exponent === 0x65 || exponent === 0x45) {
      this.#at++;
      const sign = this.#bytes[this.#at];
      if (sign === 0x2b || sign === minus) this.#at++;
      this.#skipDigits();
    }
  }

  #skipDigits(): void {
    const start = this.#at;
    while (isDigit(this.#bytes[this.#at])) this.#at++;
    if (this.#at === start) this.#fail('a digit was expected');
  }

  #skipLiteral(first: number | undefined): void {
    const literal = first === 0x74 ? 'true' : first === 0x66 ? 'false' : first === 0x6e ? 'null' : undefined;
    const end = this.#at + (literal?.length ?? 0);
    if (literal === undefined || this.#bytes.toString('latin1', this.#at, end) !== literal) {
      this.#fail('a value was expected');
    }
    this.#at = end;
  }

  #skipSpace(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (; ; at++) {
      const byte = bytes[at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    }
    this.#at = at;
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > this.#limits.maxDepth) {
      throw new JsonScanError(
        'too-deep',
        this.#at,
        `The JSON is nested deeper than ${this.#limits.maxDepth} levels.`,
      );
    }
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #count(): void {
    if (++this.#nodes > this.#limits.maxNodes) {
      throw new JsonScanError(
        'too-many-values',
        this.#at,
        `The JSON has more than ${this.#limits.maxNodes} values.`,
      );
    }
  }

  #fail(expectation: string): never {
    throw new JsonScanError(
      'syntax',
      this.#at,
      `The body is not valid JSON: at byte ${this.#at} ${expectation}.`,
    );
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= nine;
}

/** Bytes that the escape at `at` takes; 0 when it is not one. */
function escapeWidth(bytes: Buffer, at: number): number {
  switch (bytes[at + 1]) {
    case quote:
    case backslash:
    case 0x2f: // slash
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return 2;
    case 0x75: // u
      return isHex(bytes[at + 2]) && isHex(bytes[at + 3]) && isHex(bytes[at + 4]) && isHex(bytes[at + 5])
        ? 6
        : 0;
    default:
      return 0;
  }
}

function isHex(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);
}
