import { expect, test } from 'vitest';
import { takeRandomBytes } from './random-pool.ts';

test('no bytes are given out twice, also when the stock runs out', () => {
  const seen = new Set<string>();
  for (let index = 0; index < 5000; index++) seen.add(takeRandomBytes(16).toString('hex'));
  expect(seen.size).toBe(5000);
  expect(takeRandomBytes(8192)).toHaveLength(8192);
  expect(() => takeRandomBytes(8193)).toThrow(RangeError);
});

test('every bit is set about half of the time', () => {
  let ones = 0;
  for (let index = 0; index < 1000; index++) {
    for (const byte of takeRandomBytes(100)) ones += byte.toString(2).replaceAll('0', '').length;
  }
  expect(Math.abs(ones - 400_000)).toBeLessThan(4000); // nine standard deviations
});
