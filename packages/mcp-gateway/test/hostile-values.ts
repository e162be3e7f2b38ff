import { type Place, replaced } from '@strata/shared/testing/json-places.ts';
import fc from 'fast-check';

const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const bomb = (depth: number): string =>
  depth === 0 ? '{"type":"string"}' : `{"anyOf":[${bomb(depth - 1)},${bomb(depth - 1)}]}`;

/** JSON texts that programs trip over: no prototype, no bounds, no order, no visible form. */
const nasty: readonly string[] = [
  '{"toString":null}',
  '[{"toString":null}]',
  '{"__proto__":{"toString":null},"constructor":null,"valueOf":1}',
  '{"toJSON":1,"then":{},"length":-1}',
  '{"a":1,"a":2}',
  '{"name":"x","Name":"y"}',
  '{"$ref":"https://example.com/schema.json"}',
  '{"type":["object",{"toString":null}],"properties":5,"required":"mark"}',
  '{"type":"object","properties":{"__proto__":{"x-mcp-header":{"toString":null}}}}',
  '"__proto__"',
  '"\\ud800"',
  '"\\u0000\\u001b[31m\\u202e\\u200b\\ufeff"',
  '"ma\\u0440k"', // a Cyrillic letter in it
  '"MARK"',
  '"mark\\r\\nx-injected: 1"',
  '""',
  `"${'x'.repeat(70_000)}"`,
  `"${'{a}'.repeat(3000)}"`,
  '1e400',
  '-0',
  '9007199254740993',
  '0.1',
  'null',
  'true',
  '[]',
  '{}',
  deep(50),
  deep(120),
  deep(5000),
  bomb(10),
];

/** Any JSON value, as text. */
export const anyJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...nasty) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3 }) },
);

/** The document as text, with a value in one place that no parser and writer of objects could keep as it is. */
export function textWith(document: unknown, place: Place, value: string): string {
  const mark = 'here-stands-the-value';
  return JSON.stringify(replaced(document, place, mark)).replace(`"${mark}"`, () => value);
}
