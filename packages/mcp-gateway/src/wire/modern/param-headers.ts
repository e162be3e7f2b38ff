import type { RequestFrame, ScannedValue } from '../../domain/frame.ts';
import { rawText } from '../frame.ts';
import { type Shape, scanWithin } from '../json-scanner.ts';
import { stringAt } from '../json-text.ts';
import type { ListedItem } from '../list-items.ts';
import { decodeHeaderValue, encodeHeaderValue } from './headers.ts';

/** An argument that is repeated in a header: its path in `arguments`, and the header in lower case. */
interface ParamHeader {
  readonly path: readonly string[];
  readonly header: string;
}

const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const maxHeaders = 32;
const maxDepth = 8;
const known = new WeakMap<ListedItem, readonly ParamHeader[]>();

/** Headers that a tool's `inputSchema` asks for with `x-mcp-header` (2026-07-28, "Custom headers"). */
function paramHeadersOf(item: ListedItem): readonly ParamHeader[] {
  let headers = known.get(item);
  if (!headers) {
    headers = item.bytes.includes('"x-mcp-header"') ? collect(item) : [];
    known.set(item, headers);
  }
  return headers;
}

function collect(item: ListedItem): ParamHeader[] {
  const { inputSchema } = JSON.parse(item.bytes.toString()) as { inputSchema?: unknown };
  const found: ParamHeader[] = [];
  const walk = (schema: unknown, path: readonly string[]) => {
    if (!isRecord(schema) || !isRecord(schema.properties) || path.length >= maxDepth) return;
    for (const [key, property] of Object.entries(schema.properties)) {
      if (!isRecord(property)) continue;
      const name = property['x-mcp-header'];
      if (typeof name === 'string' && headerName.test(name) && found.length < maxHeaders) {
        found.push({ path: [...path, key], header: `mcp-param-${name.toLowerCase()}` });
      }
      walk(property, [...path, key]);
    }
  };
  walk(inputSchema, []);
  return found;
}

/** The headers of a call, from its arguments. */
export function headersOfArguments(item: ListedItem, frame: RequestFrame): Record<string, string> {
  const wanted = paramHeadersOf(item);
  if (wanted.length === 0) return {};
  const values = argumentsOf(frame, wanted);
  const headers: Record<string, string> = {};
  for (const { path, header } of wanted) {
    const text = primitiveAt(frame, values, path);
    if (text !== undefined) headers[header] = encodeHeaderValue(text);
  }
  return headers;
}

/** The first header that does not say what the arguments say. Numbers are compared as numbers. */
export function findHeaderMismatch(
  wanted: Readonly<Record<string, string>>,
  item: ListedItem,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  return paramHeadersOf(item)
    .map(({ header }) => header)
    .find(header => !isSame(wanted[header], headers[header]));
}

function isSame(wanted: string | undefined, given: string | string[] | undefined): boolean {
  if (wanted === undefined || typeof given !== 'string') return wanted === given;
  const expected = decodeHeaderValue(wanted);
  const actual = decodeHeaderValue(given.trim());
  if (expected === undefined || actual === undefined) return false;
  const isNumber = expected !== '' && actual !== '' && Number.isFinite(Number(expected));
  return expected === actual || (isNumber && Number(expected) === Number(actual));
}

function argumentsOf(frame: RequestFrame, wanted: readonly ParamHeader[]): ScannedValue | undefined {
  const span = frame.params?.members?.get('arguments');
  const shape: Record<string, Shape> = {};
  for (const { path } of wanted) addPath(shape, path);
  return span && scanWithin(frame.bytes, span, shape);
}

function addPath(shape: Record<string, Shape>, path: readonly string[]): void {
  const [first, ...rest] = path;
  if (first === undefined) return;
  const inner: Record<string, Shape> = { ...(Object.hasOwn(shape, first) ? shape[first] : {}) };
  addPath(inner, rest);
  shape[first] = inner;
}

/** A string's text, or a number or boolean as it is written. */
function primitiveAt(
  frame: RequestFrame,
  values: ScannedValue | undefined,
  path: readonly string[],
): string | undefined {
  const span = path.reduce<ScannedValue | undefined>((value, key) => value?.members?.get(key), values);
  if (!span) return undefined;
  const text = stringAt(frame.bytes, span);
  if (text !== undefined) return text;
  const raw = rawText(frame.bytes, span);
  return /^(?:true|false|-?\d.*)$/.test(raw) ? raw : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
