import { JsonScanError, type ScanLimits } from './scan-problem.ts';

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
const literals = { t: Buffer.from('true'), f: Buffer.from('false'), n: Buffer.from('null') };

/** Called at a member's value, which it has to read. The key's range includes its quotes. */
export type OnMember = (keyStart: number, keyEnd: number) => void;

/**
 * Walks over JSON bytes by the grammar of RFC 8259: it accepts exactly what `JSON.parse` accepts, makes nothing of what
 * nobody asks about, and tells where things lie. So a body can be looked into and changed in place while everything else
 * in it stays byte for byte what the sender wrote (integers above 2^53, which a parse would round, included).
 *
 * Every method throws JsonScanError.
 */
export class JsonReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #limits: ScanLimits;
  #at: number;
  #depth = 0;
  #nodes = 0;

  constructor(bytes: Buffer, start: number, end: number, limits: ScanLimits) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#limits = limits;
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at;
  }

  isAtObject(): boolean {
    this.#skipSpace();
    return this.#peek() === openBrace;
  }

  isAtArray(): boolean {
    this.#skipSpace();
    return this.#peek() === openBracket;
  }

  expectEnd(): void {
    this.#skipSpace();
    if (this.#at !== this.#end) this.#fail('there is more after the value');
  }

  /** Passes over the next value; returns where it begins. */
  skipValue(): number {
    this.#skipSpace();
    const start = this.#at;
    const byte = this.#peek();
    if (byte === quote) this.#skipString();
    else if (byte === openBrace) this.readObject(undefined);
    else if (byte === openBracket) this.readArray(undefined);
    else if (byte === minus || isDigit(byte)) this.#skipNumber();
    else if (byte === 0x74) this.#skipLiteral(literals.t);
    else if (byte === 0x66) this.#skipLiteral(literals.f);
    else if (byte === 0x6e) this.#skipLiteral(literals.n);
    else this.#fail('a value was expected');
    return start;
  }

  /** Reads the object that begins here. */
  readObject(onMember: OnMember | undefined): void {
    this.#enter();
    this.#skipSpace();
    let isOpen = this.#peek() !== closeBrace;
    while (isOpen) {
      this.#skipSpace();
      const keyStart = this.#at;
      if (this.#peek() !== quote) this.#fail('a key was expected');
      this.#skipString();
      const keyEnd = this.#at;
      this.#skipSpace();
      if (this.#peek() !== colon) this.#fail("':' was expected");
      this.#at++;
      this.#count();
      if (onMember === undefined) this.skipValue();
      else onMember(keyStart, keyEnd);
      isOpen = this.#hasNext(closeBrace);
    }
    this.#leave();
  }

  /** Reads the array that begins here; `onElement` is called at each element and has to read it. */
  readArray(onElement: (() => void) | undefined): void {
    this.#enter();
    this.#skipSpace();
    let isOpen = this.#peek() !== closeBracket;
    while (isOpen) {
      this.#count();
      if (onElement === undefined) this.skipValue();
      else onElement();
      isOpen = this.#hasNext(closeBracket);
    }
    this.#leave();
  }

  /** After an element: steps over a comma, stays before the closing byte. */
  #hasNext(close: number): boolean {
    this.#skipSpace();
    const byte = this.#peek();
    if (byte === comma) {
      this.#at++;
      return true;
    }
    if (byte !== close) this.#fail(`',' or '${String.fromCharCode(close)}' was expected`);
    return false;
  }

  #skipString(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at + 1;
    while (at < end) {
      const byte = bytes[at] as number; // at < end ≤ length
      if (byte === quote) {
        this.#at = at + 1;
        return;
      }
      if (byte < 0x20) break;
      const width = byte === backslash ? this.#escapeWidth(at) : 1;
      if (width === 0) break;
      at += width;
    }
    this.#at = Math.min(at, end);
    this.#fail('a string does not end well');
  }

  /** Bytes that the escape at `at` takes; 0 when it is not one. */
  #escapeWidth(at: number): number {
    const bytes = this.#bytes;
    if (at + 1 >= this.#end) return 0;
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
        if (at + 6 > this.#end) return 0;
        return isHex(bytes[at + 2]) && isHex(bytes[at + 3]) && isHex(bytes[at + 4]) && isHex(bytes[at + 5])
          ? 6
          : 0;
      default:
        return 0;
    }
  }

  #skipNumber(): void {
    if (this.#peek() === minus) this.#at++;
    if (this.#peek() === zero) this.#at++;
    else this.#skipDigits();
    if (this.#peek() === 0x2e) {
      this.#at++;
      this.#skipDigits();
    }
    const exponent = this.#peek();
    if (exponent === 0x65 || exponent === 0x45) {
      this.#at++;
      const sign = this.#peek();
      if (sign === 0x2b || sign === minus) this.#at++;
      this.#skipDigits();
    }
  }

  #skipDigits(): void {
    const start = this.#at;
    while (isDigit(this.#peek())) this.#at++;
    if (this.#at === start) this.#fail('a digit was expected');
  }

  #skipLiteral(literal: Buffer): void {
    const end = this.#at + literal.length;
    if (end > this.#end || this.#bytes.compare(literal, 0, literal.length, this.#at, end) !== 0) {
      this.#fail('a value was expected');
    }
    this.#at = end;
  }

  #skipSpace(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    }
    this.#at = at;
  }

  #peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : -1; // inside the bounds just checked
  }

  #enter(): void {
    this.#at++;
    const { maxDepth } = this.#limits;
    if (++this.#depth > maxDepth) {
      throw new JsonScanError('too-deep', this.#at, `The JSON is nested deeper than ${maxDepth} levels.`);
    }
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #count(): void {
    const { maxNodes } = this.#limits;
    if (++this.#nodes > maxNodes) {
      throw new JsonScanError('too-many-values', this.#at, `The JSON has more than ${maxNodes} values.`);
    }
  }

  #fail(expectation: string): never {
    throw new JsonScanError('syntax', this.#at, `Not valid JSON at byte ${this.#at}: ${expectation}.`);
  }
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine;
}

function isHex(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);
}
