import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GatewayError } from '../errors/gateway-error.ts';
import { defaultJsonLimits, parseJson } from './parse-json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const reasonOf = (text: string | Uint8Array) => {
  try {
    parseJson(typeof text === 'string' ? bytes(text) : text);
  } catch (error) {
    if (error instanceof GatewayError) return error.reason;
    throw error;
  }
  return 'parsed';
};

test('[S16] a depth of one million is refused before it is parsed', () => {
  const started = performance.now();
  expect(reasonOf('['.repeat(1_000_000))).toBe('json_too_deep');
  expect(performance.now() - started).toBeLessThan(50);
});

test('[S16] a million values are refused', () => {
  expect(reasonOf(`[${'0,'.repeat(1_000_000)}0]`)).toBe('json_too_many_nodes');
});

test('brackets and quotes inside strings do not count', () => {
  expect(parseJson(bytes(JSON.stringify({ a: '[[[['.repeat(50), b: '\\"[' })))).toEqual({
    a: '[[[['.repeat(50),
    b: '\\"[',
  });
});

test('[S17] prototype keys are refused at any depth, escaped or not', () => {
  expect(reasonOf('{"a":[{"__proto__":{"admin":true}}]}')).toBe('json_forbidden_key');
  expect(reasonOf('{"a":{"__pro\\u0074o__":1}}')).toBe('json_forbidden_key');
  expect(reasonOf('{"constructor":{"prototype":{"admin":true}}}')).toBe('json_forbidden_key');
  expect(reasonOf('{"constructor":"Acme Ltd"}')).toBe('parsed');
});

test('too many bytes, bad UTF-8 and bad syntax have their own reasons', () => {
  expect(() => parseJson(bytes('"abc"'), { ...defaultJsonLimits, maxBytes: 3 })).toThrow('limit is 3');
  expect(reasonOf(Uint8Array.of(0x22, 0xff, 0x22))).toBe('json_syntax');
  expect(reasonOf('{"a":')).toBe('json_syntax');
  expect(reasonOf('"')).toBe('json_syntax');
});

test('equals JSON.parse on whatever JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), value => {
      const text = JSON.stringify(value);
      if (text.includes('__proto__')) return;
      expect(parseJson(bytes(text))).toEqual(JSON.parse(text));
    }),
  );
});

test('arbitrary bytes never throw anything but a GatewayError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), input => {
      reasonOf(input);
    }),
    { numRuns: 2000 },
  );
});
