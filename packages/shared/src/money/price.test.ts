import fc from 'fast-check';
import { expect, test } from 'vitest';
import { costOf, isDecimalUsd, nanoUsdPerMillion, type Prices } from './price.ts';
import type { Usage } from './usage.ts';

const flat = (base: Prices) => ({ version: 'test', base, tiers: [] });
const none: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

test('a decimal price is converted exactly, and what is finer than a nano-USD rounds up', () => {
  expect(nanoUsdPerMillion('0.25')).toBe(250_000_000n);
  expect(nanoUsdPerMillion('15')).toBe(15_000_000_000n);
  expect(nanoUsdPerMillion('0.1')).toBe(100_000_000n); // 0.1 is no exact binary fraction
  expect(nanoUsdPerMillion('0.0000000001')).toBe(1n);
  expect(nanoUsdPerMillion('1.0000000000')).toBe(1_000_000_000n);
});

test.each(['', '-1', '1e3', '1,5', ' 1', '.5', '1.', 'NaN', '0x10'])('%j is no price', text => {
  expect(isDecimalUsd(text)).toBe(false);
  expect(() => nanoUsdPerMillion(text)).toThrow(RangeError);
});

test('[$-2] each bucket is priced once and the sum rounds up once', () => {
  const prices = flat({ input: 250_000_000n, cacheRead: 25_000_000n, output: 2_000_000_000n });
  const usage = { ...none, input: 1000, cacheRead: 3, output: 7, reasoning: 5 };
  // 1000 × 250 + 3 × 25 + 12 × 2000 = 274 075 nano-USD
  expect(costOf(usage, prices)).toBe(274_075n);
  expect(costOf({ ...none, input: 1 }, flat({ input: 1n }))).toBe(1n);
});

test('[$-2] a price that is not known is never 0', () => {
  expect(costOf({ ...none, input: 1 }, undefined)).toBeUndefined();
  expect(costOf({ ...none, input: 1, cacheWrite1h: 1 }, flat({ input: 1n, cacheWrite: 1n }))).toBeUndefined();
  expect(costOf(none, flat({}))).toBe(0n); // nothing was used
});

test('reasoning costs what output costs unless it has a price of its own', () => {
  expect(costOf({ ...none, reasoning: 1_000_000 }, flat({ output: 7n }))).toBe(7n);
  expect(costOf({ ...none, reasoning: 1_000_000 }, flat({ output: 7n, reasoning: 3n }))).toBe(3n);
});

test('[I6] property: cost is never below the exact amount and less than one nano-USD above it', () => {
  fc.assert(
    fc.property(fc.nat(2_000_000), fc.bigInt({ min: 0n, max: 10n ** 14n }), (input, price) => {
      const cost = costOf({ ...none, input }, flat({ input: price })) ?? -1n;
      const exact = BigInt(input) * price;
      expect(cost * 1_000_000n >= exact && cost * 1_000_000n < exact + 1_000_000n).toBe(true);
    }),
  );
});

test('a tier holds for the whole request once its input is longer than the bound', () => {
  const list = {
    version: 'test',
    base: { input: 1_000_000n, cacheRead: 100_000n, output: 5_000_000n },
    tiers: [
      { aboveInputTokens: 100, prices: { input: 2_000_000n, cacheRead: 200_000n, output: 7_000_000n } },
      { aboveInputTokens: 1000, prices: { input: 3_000_000n, cacheRead: 300_000n, output: 9_000_000n } },
    ],
  };
  expect(costOf({ ...none, input: 100, output: 1 }, list)).toBe(105n);
  expect(costOf({ ...none, input: 91, cacheRead: 10, output: 1 }, list)).toBe(191n); // what the cache gave is input too
  expect(costOf({ ...none, input: 1001, output: 1 }, list)).toBe(3012n);
});
