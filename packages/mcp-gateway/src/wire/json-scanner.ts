import { JsonReader } from '@strata/shared/json/json-reader.ts';
import { decodeString, type Span } from '@strata/shared/json/json-text.ts';
import { JsonScanError, type ScanLimits } from '@strata/shared/json/scan-problem.ts';
import type { ScannedValue } from '../domain/frame.ts';
import { protocolWord, protocolWords } from './protocol-words.ts';

/** Where the members of a few named objects lie, so that an envelope can be read and changed in place. */

/** Names the objects whose members are recorded: `{ params: { _meta: {} } }`. */
export interface Shape {
  readonly [key: string]: Shape;
}

/** What a client may send. */
export const requestScanLimits: ScanLimits = { maxDepth: 64, maxNodes: 200_000 };

/** What a server may answer: lists and results of tools are larger than calls. */
export const answerScanLimits: ScanLimits = { maxDepth: 128, maxNodes: 5_000_000 };

/** Scans one complete JSON document. @throws JsonScanError */
export function scanJson(bytes: Buffer, shape?: Shape, limits = requestScanLimits): ScannedValue {
  const reader = new JsonReader(bytes, 0, bytes.length, limits);
  const value = readValue(reader, bytes, shape);
  reader.expectEnd();
  return value;
}

/** Scans a value inside already scanned bytes, to record members the first scan did not. @throws JsonScanError */
export function scanWithin(
  bytes: Buffer,
  span: Span,
  shape: Shape,
  limits = requestScanLimits,
): ScannedValue {
  return readValue(new JsonReader(bytes, span.start, span.end, limits), bytes, shape);
}

/** The elements of an array inside already scanned bytes; empty when the value is not an array. @throws JsonScanError */
export function scanElements(
  bytes: Buffer,
  span: Span,
  shape?: Shape,
  limits = requestScanLimits,
): ScannedValue[] {
  const reader = new JsonReader(bytes, span.start, span.end, limits);
  const elements: ScannedValue[] = [];
  if (reader.isAtArray()) reader.readArray(() => elements.push(readValue(reader, bytes, shape)));
  return elements;
}

function readValue(reader: JsonReader, bytes: Buffer, shape: Shape | undefined): ScannedValue {
  if (shape === undefined || !reader.isAtObject()) return { start: reader.skipValue(), end: reader.at };
  const { at: start } = reader;
  const members = readMembers(reader, bytes, shape);
  return { start, end: reader.at, members };
}

function readMembers(reader: JsonReader, bytes: Buffer, shape: Shape): Map<string, ScannedValue> {
  const members = new Map<string, ScannedValue>();
  const keys = new Keys(members);
  reader.readObject((keyStart, keyEnd) => {
    const word = protocolWord(bytes, keyStart + 1, keyEnd - 1);
    const key = word ?? decodeString(bytes, keyStart, keyEnd);
    // Parsers differ on which of two equal keys wins, and some ignore case: what was checked here must be what
    // the server reads.
    if (word === undefined ? keys.hasOther(key) : keys.hasWord(word))
      throw new JsonScanError('ambiguous-key', keyStart, `The key '${key}' occurs twice.`);
    members.set(key, readValue(reader, bytes, Object.hasOwn(shape, key) ? shape[key] : undefined));
  });
  return members;
}

/** Which keys an object has, whatever their case. Words of the protocol are looked for among its members; most objects have no others. */
class Keys {
  readonly #members: ReadonlyMap<string, ScannedValue>;
  /** What the others fold to. */
  #others: Set<string> | undefined;

  constructor(members: ReadonlyMap<string, ScannedValue>) {
    this.#members = members;
  }

  hasWord(word: string): boolean {
    return this.#members.has(word) || (this.#others?.has(foldOf(word)) ?? false);
  }

  /** Whether there is such a key; from now on there is. */
  hasOther(key: string): boolean {
    const fold = foldOf(key);
    const word = wordsByFold.get(fold);
    if ((word !== undefined && this.#members.has(word)) || this.#others?.has(fold)) return true;
    this.#others ??= new Set();
    this.#others.add(fold);
    return false;
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

const wordsByFold = new Map(protocolWords.map(word => [foldOf(word), word]));
