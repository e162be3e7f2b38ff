import fc from 'fast-check';

/** JSON that programs forget: members that look like methods, numbers at the edge, texts that look like something else. */
const odd: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  Number.MAX_SAFE_INTEGER,
  '',
  ' ',
  '${ . }',
  '${',
  '$',
  '/',
  '\u0000',
  '\ud83d',
  'x'.repeat(5000),
  '../..',
  'http://',
  'P1D',
  '*',
  [],
  [[]],
  {},
  { toString: null },
  { valueOf: null, toString: 1 },
  { constructor: {} },
  { then: 'x' },
  { toJSON: 1 },
  { length: -1 },
  { '': 1 },
  { 'a/b~c': 1 },
);

/** Any JSON value, small. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(odd, fc.jsonValue({ maxDepth: 3 }));

type Key = string | number;

/** Every place of a value, itself included. */
export function placesOf(value: unknown, path: readonly Key[] = []): (readonly Key[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries: [Key, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, each]) => placesOf(each, [...path, key]))];
}

/** The value with another in one place, or without that place when the other is undefined. */
export function withAt(value: unknown, [key, ...rest]: readonly Key[], other: unknown): unknown {
  if (key === undefined) return other;
  if (Array.isArray(value))
    return value.flatMap((each, index) =>
      index !== key ? [each] : other === undefined && rest.length === 0 ? [] : [withAt(each, rest, other)],
    );
  const members = Object.entries(value as object).map(
    ([name, each]) => [name, name === key ? withAt(each, rest, other) : each] as const,
  );
  return Object.fromEntries(members.filter(([, each]) => each !== undefined));
}

/** A valid value in which one to three places hold something else, or nothing. */
export function spoiled(value: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(value).filter(place => place.length > 0);
  const change = fc.tuple(fc.constantFrom(...places), fc.option(anyJson, { nil: undefined, freq: 5 }));
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map(changes => changes.reduce((made, [place, other]) => spoil(made, place, other), value));
}

function spoil(value: unknown, place: readonly Key[], other: unknown): unknown {
  try {
    return withAt(value, place, other);
  } catch {
    return value; // an earlier change took the place away
  }
}
