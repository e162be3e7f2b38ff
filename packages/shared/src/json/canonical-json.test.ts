import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';

test('the examples of RFC 8785', () => {
  // Section 3.2.2 and 3.2.3, and the numbers of appendix B.
  expect(
    canonicalJson({
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }),
  ).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  expect(
    canonicalJson({
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }),
  ).toBe(
    '{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
  );
  expect([-0, 5e-324, 1.7976931348623157e308, 9007199254740992, 1e21, 1e-7].map(canonicalJson)).toEqual([
    '0',
    '5e-324',
    '1.7976931348623157e+308',
    '9007199254740992',
    '1e+21',
    '1e-7',
  ]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, 1n])('%s is not JSON', value => {
  expect(() => canonicalJson({ value })).toThrow(TypeError);
});

test('property: the text says the same value, and does not depend on the order of members', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const text = canonicalJson(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
      expect(canonicalJson(reversed(value))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('what is not said, or not as JSON would say it by itself, is written the same whatever the order', () => {
  const date = new Date(0);
  expect(canonicalJson({ a: undefined, b: [undefined], c: date })).toBe('{"b":[null],"c":{}}');
  expect(canonicalJson({ c: date, b: [undefined], a: undefined })).toBe('{"b":[null],"c":{}}');
  expect(canonicalJson({ a: { toJSON: null } })).toBe('{"a":{"toJSON":null}}');
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, each]) => [key, reversed(each)]),
  );
}
