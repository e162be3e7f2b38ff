import { stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scanElements, scanJson, scanWithin } from './json-scanner.ts';

function accepts(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof JsonScanError) return false;
    throw error;
  }
}

const tokens = fc.constantFrom(
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '\\',
    '\\u00e9',
    'true',
    'fals',
    'null',
    '0',
    '01',
    '-',
    '1.5',
    '1e',
    '1e+9',
  ],
  ...[' ', '\n', '\t', '\u0001', '\uFEFF', 'é', '"\\u12"', '"\\n"', '"\\x"', '.5', '-0'],
);

test('accepts what JSON.parse accepts and refuses what it refuses', () => {
  fc.assert(
    fc.property(fc.array(tokens, { maxLength: 12 }), parts => {
      const text = parts.join('');
      const bytes = Buffer.from(text);
      expect(accepts(() => scanJson(bytes))).toBe(accepts(() => JSON.parse(text)));
    }),
    { numRuns: 5000 },
  );
});

test('one changed byte of a valid document is judged as JSON.parse judges it', () => {
  const ascii = fc.integer({ min: 0, max: 127 });
  fc.assert(
    fc.property(fc.json(), fc.nat(), ascii, (text, position, byte) => {
      const bytes = Buffer.from(text);
      if ((bytes[position % bytes.length] ?? 0) > 127) return;
      bytes[position % bytes.length] = byte;
      expect(accepts(() => scanJson(bytes))).toBe(accepts(() => JSON.parse(bytes.toString())));
    }),
    { numRuns: 3000 },
  );
});

test('the recorded members are the members', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(3), (object, indent) => {
      const text = JSON.stringify(object, null, indent);
      const bytes = Buffer.from(text);
      let members: ReadonlyMap<string, { start: number; end: number }> | undefined;
      try {
        members = scanJson(bytes, {}).members;
      } catch (error) {
        expect((error as JsonScanError).problem).toBe('ambiguous-key'); // two keys that differ in case only
        return;
      }
      expect(
        [...(members ?? [])].map(([key, span]) => [
          key,
          JSON.parse(bytes.toString('utf8', span.start, span.end)),
        ]),
      ).toEqual(Object.entries(JSON.parse(text)));
    }),
  );
});

test('nested objects are recorded where the shape names them, and can be read later', () => {
  const bytes = Buffer.from(
    '{"params":{"_meta":{"a":1},"other":{"b":2}},"list":[{"name":"x"},{"name":"y"}]}',
  );
  const whole = scanJson(bytes, { params: { _meta: {} } });
  const params = whole.members?.get('params');
  expect(params?.members?.get('_meta')?.members?.has('a')).toBe(true);
  const other = params?.members?.get('other');
  expect(other?.members).toBeUndefined();
  expect(other && scanWithin(bytes, other, {}).members?.has('b')).toBe(true);
  const list = whole.members?.get('list');
  const names = list && scanElements(bytes, list, {}).map(item => stringAt(bytes, item.members?.get('name')));
  expect(names).toEqual(['x', 'y']);
});

test('a key that occurs twice, or twice but for case, is refused where members are recorded', () => {
  for (const text of [
    '{"name":1,"name":2}',
    '{"name":1,"Name":2}',
    '{"na\\u006de":1,"name":2}',
    '{"\u212Aey":1,"key":2}',
  ]) {
    expect(() => scanJson(Buffer.from(text), {})).toThrow('occurs twice');
  }
  expect(() => scanJson(Buffer.from('{"arguments":{"a":1,"A":2}}'), {})).not.toThrow();
});

test('[S16] depth and number of values are limited', () => {
  expect(() => scanJson(Buffer.from('['.repeat(1_000_000)))).toThrow('deeper than 64');
  expect(() => scanJson(Buffer.from(`[${'0,'.repeat(300_000)}0]`))).toThrow('more than 200000 values');
});

test('arbitrary bytes never throw anything but a scan error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), input => {
      accepts(() => scanJson(Buffer.from(input), { params: {} }));
    }),
    { numRuns: 3000 },
  );
});

test('of words of the protocol and others, in any case and with escapes, no two may be the same', () => {
  const written = (key: string) => `"${key}"`;
  const escaped = (key: string) => `"${key.replace(/e/, '\\u0065')}"`;
  const key = fc.constantFrom(
    'name',
    'Name',
    'NAME',
    'uri',
    'method',
    'Method',
    'theme',
    'THEME',
    'id',
    'ıd',
    'x',
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.constantFrom(written, escaped)), { maxLength: 6 }), keys => {
      const folds = keys.map(([each]) => each.toUpperCase().toLowerCase());
      const text = `{${keys.map(([each, write]) => `${write(each)}:1`).join(',')}}`;
      const scan = () => scanJson(Buffer.from(text), {});
      if (new Set(folds).size < folds.length) expect(scan).toThrow('occurs twice');
      else expect([...(scan().members?.keys() ?? [])]).toEqual(keys.map(([each]) => each));
    }),
  );
});
