import type { OpenapiParameter } from './openapi-operation.ts';

/** How a value is written: which style, and whether arrays and objects are one text or several (OpenAPI 3.1, "Style Values"). */
export type ValueStyle = Pick<OpenapiParameter, 'name' | 'style' | 'explode'>;

type Encode = (text: string) => string;

/** Half a surrogate pair, which JSON may hold, has no bytes: U+FFFD stands for it, as where text is encoded elsewhere. */
export function percentEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** A value as text, where no style says how. */
export function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(toText).join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** `simple`: `1,2` and `a,1,b,2`, or `a=1,b=2` when exploded. */
export function headerText(style: ValueStyle, value: unknown): string {
  return partsOf(style, value, text => text).join(',');
}

/** `simple`, `label` (`.1.2`) and `matrix` (`;name=1;name=2`), as RFC 6570 expands them. `encode` is for the values, not for what stands between them. */
export function pathText(style: ValueStyle, value: unknown, encode: Encode = percentEncoded): string {
  const parts = partsOf(style, value, encode);
  if (style.style === 'label') return `.${parts.join(style.explode ? '.' : ',')}`;
  if (style.style !== 'matrix') return parts.join(',');
  const name = encode(style.name);
  if (!style.explode) return `;${name}=${parts.join(',')}`;
  const isNamed = typeof value === 'object' && value !== null && !Array.isArray(value);
  return parts.map(part => (isNamed ? `;${part}` : `;${name}=${part}`)).join('');
}

const separators: Readonly<Record<string, string>> = { spaceDelimited: '%20', pipeDelimited: '%7C' };

/** `form`, `spaceDelimited`, `pipeDelimited` and `deepObject`: encoded pairs for a query or a form. */
export function queryPairs(style: ValueStyle, value: unknown): string[] {
  const { name, explode } = style;
  if (typeof value !== 'object' || value === null) return [pair(name, value)];
  if (style.style === 'deepObject') return deepPairs(name, value);
  const parts = partsOf(style, value, percentEncoded);
  if (!explode) return [`${percentEncoded(name)}=${parts.join(separators[style.style] ?? ',')}`];
  return Array.isArray(value) ? value.map(each => pair(name, each)) : parts;
}

/** Deeper than the specification says: as those APIs read it that are written so (`a[b][c]=1`, `a[0]=1`). */
function deepPairs(name: string, value: unknown): string[] {
  if (value === null || value === undefined) return [];
  if (typeof value !== 'object') return [pair(name, value)];
  return Object.entries(value).flatMap(([key, each]) => deepPairs(`${name}[${key}]`, each));
}

function pair(name: string, value: unknown): string {
  return `${percentEncoded(name)}=${percentEncoded(toText(value))}`;
}

function partsOf({ explode }: ValueStyle, value: unknown, encode: Encode): string[] {
  if (typeof value !== 'object' || value === null) return [encode(toText(value))];
  if (Array.isArray(value)) return value.map(each => encode(toText(each)));
  const entries = Object.entries(value).map(([key, each]) => [encode(key), encode(toText(each))]);
  return explode ? entries.map(entry => entry.join('=')) : entries.flat();
}
