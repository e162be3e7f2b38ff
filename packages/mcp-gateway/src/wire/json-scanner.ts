import type { ScannedValue, Span } from '../domain/frame.ts';
import { decodeString, escapeWidth } from './json-text.ts';

/**
 * A strict JSON scanner over bytes. It accepts exactly what `JSON.parse` accepts, allocates nothing for what
 * nobody asked about, and records where the members of a few named objects lie. So an envelope can be read and
 * changed in place while everything else in it stays byte for byte what the sender wrote (AI gateways and tool
 * servers both carry integers above 2^53, which a parse and a stringify would round).
 */

/** Names the objects whose members are recorded: `{ params: { _meta: {} } }`. */
export interface Shape {
  readonly [key: string]: Shape;
}

export interface ScanLimits {
  readonly maxDepth: number;
  /** Objects' members and arrays' elements together. */
  readonly maxNodes: number;
}

export type ScanProblem = 'syntax' | 'too-deep' | 'too-many-values' | 'ambiguous-key';

export class JsonScanError extends Error {
  override readonly name = 'JsonScanError';
  readonly problem: ScanProblem;
  /** Offset of the byte at which scanning stopped. */
  readonly at: number;

  constructor(problem: ScanProblem, at: number, message: string) {
    super(message);
    this.problem = problem;
    this.at = at;
  }
}

export const defaultScanLimits: ScanLimits = { maxDepth: 64, maxNodes: 200_000 };

/** Scans one complete JSON document. @throws JsonScanError */
export function scanJson(bytes: Buffer, shape?: Shape, limits: ScanLimits = defaultScanLimits): ScannedValue {
  const scanner = new Scanner(bytes, 0, bytes.length, limits);
  const value = scanner.readValue(shape);
  scanner.expectEnd();
  return value;
}

/** Scans a value inside already scanned bytes, to record members the first scan did not. @throws JsonScanError */
export function scanWithin(
  bytes: Buffer,
  span: Span,
  shape: Shape,
  limits: ScanLimits = defaultScanLimits,
): ScannedValue {
  return new Scanner(bytes, span.start, span.end, limits).readValue(shape);
}

/** The elements of an array inside already scanned bytes; empty when the value is not an array. @throws JsonScanError */
export function scanElements(
  bytes: Buffer,
  span: Span,
  shape?: Shape,
  limits: ScanLimits = defaultScanLimits,
): ScannedValue[] {
  return new Scanner(bytes, span.start, span.end, limits).readElements(shape);
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const literals = { t: Buffer.from('true'), f: Buffer.from('false'), n: Buffer.from('null') };

class Scanner {
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

  readValue(shape: Shape | undefined): ScannedValue {
    this.#skipSpace();
    const start = this.#at;
    if (shape !== undefined && this.#bytes[start] === openBrace) {
      const members = new Map<string, ScannedValue>();
      this.#readObject(shape, members);
      return { start, end: this.#at, members };
    }
    this.#skipValue();
    return { start, end: this.#at };
  }

  readElements(shape: Shape | undefined): ScannedValue[] {
    const elements: ScannedValue[] = [];
    this.#skipSpace();
    if (this.#bytes[this.#at] !== openBracket) return elements;
    this.#readArray(() => {
      elements.push(this.readValue(shape));
    });
    return elements;
  }

  expectEnd(): void {
    this.#skipSpace();
    if (this.#at !== this.#end) this.#fail('there is more after the value');
  }

  #skipValue(): void {
    const byte = this.#peek();
    if (byte === quote) this.#skipString();
    else if (byte === openBrace) this.#readObject(undefined, undefined);
    else if (byte === openBracket) this.#readArray(() => this.#skipElement());
    else if (byte === minus || (byte >= zero && byte <= nine)) this.#skipNumber();
    else if (byte === 0x74) this.#skipLiteral(literals.t);
    else if (byte === 0x66) this.#skipLiteral(literals.f);
    else if (byte === 0x6e) this.#skipLiteral(literals.n);
    else this.#fail('a value was expected');
  }

  #skipElement(): void {
    this.#skipSpace();
    this.#skipValue();
  }

  #readObject(shape: Shape | undefined, members: Map<string, ScannedValue> | undefined): void {
    this.#enter();
    const folded = members ? new Set<string>() : undefined;
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
      if (members && folded) this.#readMember(keyStart, keyEnd, shape ?? {}, members, folded);
      else this.#skipElement();
      this.#skipSpace();
      const next = this.#peek();
      isOpen = next !== closeBrace;
      if (isOpen && next !== comma) this.#fail("',' or '}' was expected");
      if (isOpen) this.#at++;
    }
    this.#leave();
  }

  #readMember(
    keyStart: number,
    keyEnd: number,
    shape: Shape,
    members: Map<string, ScannedValue>,
    folded: Set<string>,
  ): void {
    const key = decodeString(this.#bytes, { start: keyStart, end: keyEnd });
    // Parsers differ on which of two equal keys wins, and some ignore case: what was checked here must be what
    // the server reads.
    const fold = foldOf(key);
    if (folded.has(fold)) {
      throw new JsonScanError('ambiguous-key', keyStart, `The key '${key}' occurs twice.`);
    }
    folded.add(fold);
    members.set(key, this.readValue(Object.hasOwn(shape, key) ? shape[key] : undefined));
  }

  #readArray(readElement: () => void): void {
    this.#enter();
    this.#skipSpace();
    let isOpen = this.#peek() !== closeBracket;
    while (isOpen) {
      this.#count();
      readElement();
      this.#skipSpace();
      const next = this.#peek();
      isOpen = next !== closeBracket;
      if (isOpen && next !== comma) this.#fail("',' or ']' was expected");
      if (isOpen) this.#at++;
    }
    this.#leave();
  }

  #skipString(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at + 1;
    for (; at < end; at++) {
      const byte = bytes[at] as number; // at < end ≤ length
      if (byte === quote) {
        this.#at = at + 1;
        return;
      }
      if (byte < 0x20) break;
      if (byte === backslash) {
        const width = escapeWidth(bytes, at, end);
        if (width === 0) break;
        at += width - 1;
      }
    }
    this.#at = at;
    this.#fail('a string does not end well');
  }

  #skipNumber(): void {
    if (this.#bytes[this.#at] === minus) this.#at++;
    if (this.#bytes[this.#at] === zero && this.#at < this.#end) this.#at++;
    else this.#skipDigits();
    if (this.#at < this.#end && this.#bytes[this.#at] === 0x2e) {
      this.#at++;
      this.#skipDigits();
    }
    if (this.#at < this.#end && (this.#bytes[this.#at] === 0x65 || this.#bytes[this.#at] === 0x45)) {
      this.#at++;
      if (this.#bytes[this.#at] === 0x2b || this.#bytes[this.#at] === minus) this.#at++;
      this.#skipDigits();
    }
  }

  #skipDigits(): void {
    const start = this.#at;
    while (this.#at < this.#end && isDigit(this.#bytes[this.#at])) this.#at++;
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
    for (; this.#at < this.#end; this.#at++) {
      const byte = bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    }
  }

  #peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : -1; // inside the bounds just checked
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > this.#limits.maxDepth) {
      throw new JsonScanError('too-deep', this.#at, `Nested deeper than ${this.#limits.maxDepth} levels.`);
    }
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #count(): void {
    if (++this.#nodes > this.#limits.maxNodes) {
      throw new JsonScanError('too-many-values', this.#at, `More than ${this.#limits.maxNodes} values.`);
    }
  }

  #fail(expectation: string): never {
    throw new JsonScanError('syntax', this.#at, `Not valid JSON at byte ${this.#at}: ${expectation}.`);
  }
}

/** Most keys are those of the protocol: what they fold to is worked out once. */
const folds = new Map<string, string>();
const maxFolds = 500;
const maxFoldLength = 40;

function foldOf(key: string): string {
  const known = folds.get(key);
  if (known !== undefined) return known;
  const fold = key.toUpperCase().toLowerCase();
  if (folds.size < maxFolds && key.length <= maxFoldLength) folds.set(key, fold);
  return fold;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= nine;
}
