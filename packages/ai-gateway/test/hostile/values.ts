import { placesIn, replaced } from '@strata/shared/testing/json-places.ts';
import fc from 'fast-check';

/** What breaks a program that takes JSON for what it should be. */
const telling: readonly unknown[] = [
  null,
  true,
  '',
  'constructor',
  '\ud800',
  -1,
  0.5,
  1e308,
  Number.MAX_SAFE_INTEGER,
  [],
  {},
  [null],
  [[]],
  [{}],
  { toString: null },
  { valueOf: 1, toString: 2 },
  JSON.parse('{"__proto__":{"a":1}}'),
  { type: 'function' },
  { type: { toString: null } },
  { length: -1 },
];

export const anyValue = fc.oneof(fc.constantFrom(...telling), fc.jsonValue({ maxDepth: 3 }));

/** The document with one or two of its values replaced by any other. */
export function spoiled(document: unknown): fc.Arbitrary<unknown> {
  const change = fc.tuple(fc.nat(), anyValue);
  return fc.array(change, { minLength: 1, maxLength: 2 }).map(changes =>
    changes.reduce<unknown>((changed, [at, value]) => {
      const places = placesIn(changed);
      return replaced(changed, places[at % places.length] ?? [], value);
    }, document),
  );
}
