import fc from 'fast-check';
import { expect, test } from 'vitest';
import { costOf, type Prices } from './price.ts';
import { inputTokens, outputTokens, type Usage, usageBuckets } from './usage.ts';
import { worstCaseCost } from './worst-case.ts';

const price = fc.bigInt({ min: 1n, max: 10n ** 11n });
const prices: fc.Arbitrary<Prices> = fc.record({ input: price, output: price }).chain(base =>
  fc
    .record(Object.fromEntries([...usageBuckets, 'requests'].map(bucket => [bucket, price])), {
      requiredKeys: [],
    })
    .map(more => ({ ...more, ...base })),
);
const list = fc.record({
  version: fc.constant('test'),
  base: prices,
  tiers: fc
    .array(fc.record({ aboveInputTokens: fc.integer({ min: 1, max: 5000 }), prices }), { maxLength: 3 })
    .map(tiers => [...tiers].sort((left, right) => left.aboveInputTokens - right.aboveInputTokens)),
});
const count = fc.nat(3000);
const usage: fc.Arbitrary<Usage> = fc.record({
  input: count,
  cacheRead: count,
  cacheWrite: count,
  cacheWrite1h: count,
  output: count,
  reasoning: count,
  imageInput: count,
  toolUnits: fc.nat(5),
});

test('[$-1] [$-2] property: nothing within the bounds costs more than the worst case', () => {
  fc.assert(
    fc.property(list, usage, fc.nat(2000), fc.nat(2000), (prices, used, moreInput, moreOutput) => {
      const bounds = {
        input: inputTokens(used) + moreInput,
        output: outputTokens(used) + moreOutput,
        toolUnits: used.toolUnits ?? 0,
      };
      const worst = worstCaseCost(prices, bounds);
      const cost = costOf(used, prices);
      expect(worst).toBeDefined();
      if (cost !== undefined) expect(cost <= (worst ?? -1n)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test('[$-2] without a price for input or output nobody knows the worst case', () => {
  expect(worstCaseCost(undefined, { input: 1, output: 1 })).toBeUndefined();
  const embedding = { version: 'test', base: { input: 2_000_000n }, tiers: [] };
  expect(worstCaseCost(embedding, { input: 3, output: 1 })).toBeUndefined();
  expect(worstCaseCost(embedding, { input: 3, output: 0 })).toBe(6n);
  expect(
    worstCaseCost({ version: 't', base: { input: 1n }, tiers: [] }, { input: 1, output: 1 }),
  ).toBeUndefined();
});
