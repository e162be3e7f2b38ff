import { stringAt } from '@strata/shared/json/json-text.ts';
import type { RequestFrame, ScannedValue } from '../../domain/frame.ts';
import { rawText } from '../frame.ts';
import { type Shape, scanWithin } from '../json-scanner.ts';
import { decodeHeaderValue, encodeHeaderValue } from './headers.ts';

/** An argument that is repeated in a header: its path in `arguments`, and the header in lower case. */
interface ParamHeader {
  readonly path: readonly string[];
  readonly header: string;
}

/** A tool as its server describes it. */
interface Described {
  readonly bytes: Buffer;
}

const annotation = 'x-mcp-header';
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const primitives: readonly unknown[] = ['string', 'integer', 'boolean'];
const maxHeaders = 32;
const maxDepth = 16;
const known = new WeakMap<Described, readonly ParamHeader[] | undefined>();

/** Whether a client may call the tool: one whose annotations are not valid is left out of lists (2026-07-28, "Custom headers"). */
export function hasValidHeaders(tool: Described): boolean {
  return !tool.bytes.includes(`"${annotation}"`) || declaredHeaders(tool) !== undefined;
}

/** Headers that a tool's `inputSchema` asks for; undefined when it does so in a way that is not valid. */
function declaredHeaders(tool: Described): readonly ParamHeader[] | undefined {
  if (!known.has(tool)) known.set(tool, tool.bytes.includes(`"${annotation}"`) ? collect(tool) : []);
  return known.get(tool);
}

function paramHeadersOf(tool: Described): readonly ParamHeader[] {
  return declaredHeaders(tool) ?? [];
}

function collect(tool: Described): ParamHeader[] | undefined {
  const { inputSchema } = JSON.parse(tool.bytes.toString()) as { inputSchema?: unknown };
  const found: ParamHeader[] = [];
  const names = new Set<string>();
  let isValid = true;
  const walk = (schema: unknown, path: readonly string[]) => {
    if (!isRecord(schema) || !isRecord(schema.properties) || path.length >= maxDepth) return;
    for (const [key, property] of Object.entries(schema.properties)) {
      if (!isRecord(property)) continue;
      if (Object.hasOwn(property, annotation)) {
        const given = property[annotation];
        const name = typeof given === 'string' ? given.toLowerCase() : '';
        const isName = headerName.test(name) && !names.has(name);
        if (!isName || !primitives.includes(property.type)) isValid = false;
        names.add(name);
        found.push({ path: [...path, key], header: `mcp-param-${name}` });
      }
      walk(property, [...path, key]);
    }
  };
  walk(inputSchema, []);
  // Whatever stands elsewhere, below `items` or `anyOf`, names no argument for sure.
  const isComplete = found.length === countAnnotations(inputSchema, 0) && found.length <= maxHeaders;
  return isValid && isComplete ? found : undefined;
}

function countAnnotations(value: unknown, depth: number): number {
  if (depth > 64 || typeof value !== 'object' || value === null) return 0;
  const own = Object.hasOwn(value, annotation) ? 1 : 0;
  return Object.values(value).reduce((sum: number, each) => sum + countAnnotations(each, depth + 1), own);
}

/** The headers of a call, from its arguments. @throws JsonScanError when a key is there twice */
export function headersOfArguments(item: Described, frame: RequestFrame): Record<string, string> {
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
  item: Described,
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
