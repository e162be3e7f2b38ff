import { expect, test } from 'vitest';
import { CallRates } from './call-rates.ts';

test('a minute’s worth may come at once, then one for each share of the minute, and keys do not share', () => {
  const rates = new CallRates();
  const taken = (key: string, atMs: number) => rates.take(key, 6, atMs);
  for (let index = 0; index < 6; index++) expect(taken('a', 0)).toBe(0);
  expect(taken('a', 0)).toBe(10_000);
  expect(taken('b', 0)).toBe(0);
  expect(taken('a', 9_999)).toBe(1);
  expect(taken('a', 10_000)).toBe(0);
  expect(taken('a', 10_000)).toBe(10_000);
  for (let index = 0; index < 6; index++) expect(taken('a', 120_000)).toBe(0);
  expect(taken('a', 120_000)).toBe(10_000);
});

test('the memory for keys is bounded', () => {
  const rates = new CallRates(2);
  for (const key of ['a', 'b', 'c']) expect(rates.take(key, 1, 0)).toBe(0);
  expect(rates.take('c', 1, 0)).toBeGreaterThan(0);
  expect(rates.take('a', 1, 0)).toBe(0); // forgotten, as the one unused for longest
});
