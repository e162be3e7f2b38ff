import { stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { splice } from '@strata/shared/json/splice.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lastMember, scanObject, visitKeys } from './json-scan.ts';
import { setMember } from './json-splice.ts';

function replaceModel(text: string, model: string): string {
  const bytes = Buffer.from(text);
  return splice(bytes, setMember(scanObject(bytes), 'model', JSON.stringify(model))).toString();
}

test('[AI-2] only the bytes of the value change', () => {
  expect(replaceModel('{ "model" :\t"a" , "x":{"model":"nested"},\n"n":1.0e+2}', 'b')).toBe(
    '{ "model" :\t"b" , "x":{"model":"nested"},\n"n":1.0e+2}',
  );
});

test('[AI-2] a key that is written with escapes is the same key', () => {
  expect(replaceModel('{"mod\\u0065l":"a","messages":[]}', 'b')).toBe('{"mod\\u0065l":"b","messages":[]}');
});

test('[AI-2] [A13] every occurrence of a doubled key is replaced, so no parser can read another model', () => {
  expect(replaceModel('{"model":"cheap","messages":[],"model":{"a":[1]}}', 'b')).toBe(
    '{"model":"b","messages":[],"model":"b"}',
  );
});

test('an absent member is put in front', () => {
  expect(replaceModel(' {"a":1}', 'b')).toBe(' {"model":"b","a":1}');
  expect(replaceModel('{ }', 'b')).toBe('{"model":"b" }');
});

test('the last of doubled members is the one that counts', () => {
  const bytes = Buffer.from('{"model":"a","model":"b"}');
  expect(stringAt(bytes, lastMember(scanObject(bytes), 'model'))).toBe('b');
});

test('keys at every depth of a member are visited', () => {
  const bytes = Buffer.from('{"metadata":{"a":[{"b":{"c":"d"}}]}}');
  const keys: string[] = [];
  const member = lastMember(scanObject(bytes), 'metadata');
  if (member) visitKeys(bytes, member, key => keys.push(key));
  expect(keys).toEqual(['a', 'b', 'c']);
});

test.each([
  ['[]', 'not-an-object'],
  ['', 'not-an-object'],
  ['{"a":1', 'syntax'],
  ['{"a":1}}', 'syntax'],
  ['{"a":01}', 'syntax'],
  ['{"a":"\u0001"}', 'syntax'],
  ['{"a":"\\x"}', 'syntax'],
  ['{"a":tru}', 'syntax'],
  ['{"a":1,}', 'syntax'],
  [`{"a":${'['.repeat(64)}${']'.repeat(64)}}`, 'too-deep'],
])('refuses %j as %s', (text, problem) => {
  expect(() => scanObject(Buffer.from(text))).toThrow(expect.objectContaining({ problem }));
});

test('a body of very many values is refused before anything is made of them', () => {
  const bytes = Buffer.from(`{"a":[${'1,'.repeat(600_000)}1]}`);
  expect(() => scanObject(bytes)).toThrow(expect.objectContaining({ problem: 'too-many-values' }));
});

const anyJson = fc.json({ maxDepth: 6, noUnicodeString: false });
const anyObjectText = fc
  .tuple(
    fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 6 }),
    fc.constantFrom(undefined, 1, '\t'),
  )
  .map(([value, indent]) => JSON.stringify(value, null, indent));

test('property: the scan accepts exactly what JSON.parse accepts', () => {
  const mutated = fc
    .tuple(anyJson, fc.nat(), fc.constantFrom('', '"', '\\', ',', '}', ']', '0', '-', 'e', ' ', '\u0000'))
    .map(([text, at, insert]) => {
      const index = text.length === 0 ? 0 : at % text.length;
      return `{"k":${text.slice(0, index)}${insert}${text.slice(index + (at % 2))}}`;
    });
  fc.assert(
    fc.property(mutated, text => {
      expect(accepts(text)).toBe(parses(text));
    }),
    { numRuns: 20_000 },
  );
});

test('[AI-2] property: what is spliced parses to the object with that one field replaced, all other bytes identical', () => {
  fc.assert(
    fc.property(anyObjectText, fc.boolean(), fc.string({ unit: 'grapheme' }), (text, isPresent, model) => {
      const original = isPresent
        ? text.replace(/^\{/, text === '{}' ? '{"model":"old"' : '{"model":"old",')
        : text;
      const changed = replaceModel(original, model);
      const expected = { ...(JSON.parse(original) as object), model };
      expect(JSON.parse(changed)).toEqual(expected);
      const before = '{"model":"old"';
      if (!isPresent || text.includes('"model"')) return;
      expect(changed).toBe(`{"model":${JSON.stringify(model)}${original.slice(before.length)}`);
    }),
    { numRuns: 5_000 },
  );
});

function accepts(text: string): boolean {
  try {
    scanObject(Buffer.from(text), { maxDepth: 1000, maxNodes: 1e9 });
    return true;
  } catch (error) {
    if (error instanceof JsonScanError) return false;
    throw error;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
