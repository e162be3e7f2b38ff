import { expect, test } from 'vitest';
import { costOf } from './price.ts';
import { builtInPrices, priceList, readPriceCatalog } from './price-catalog.ts';
import type { Usage } from './usage.ts';

const none: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };
const catalog = builtInPrices();

test('the snapshot says where its prices come from, from when they are, and which they are', () => {
  expect(catalog.source).toMatch(/^npm .+@\d+\.\d+\.\d+$/);
  expect(catalog.asOf).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  expect(catalog.version).toMatch(new RegExp(`^${catalog.asOf}/[0-9a-f]{12}$`));
  expect(catalog.entries().length).toBeGreaterThan(500);
});

test('[$-2] every model of the snapshot costs something for every token in and out, at every length', () => {
  for (const { vendor, model } of catalog.entries()) {
    const prices = catalog.find(vendor, model);
    for (const input of [1, ...(prices?.tiers.map(tier => tier.aboveInputTokens + 1) ?? [])]) {
      expect(costOf({ ...none, input, output: 1 }, prices), `${vendor}/${model} at ${input}`).toBeGreaterThan(
        0n,
      );
    }
  }
});

test('an answer of a known model costs what its vendor lists', () => {
  const usage = {
    ...none,
    input: 1000,
    cacheRead: 2000,
    cacheWrite: 300,
    cacheWrite1h: 100,
    output: 50,
    reasoning: 7,
  };
  // 1000 × 2 + 2000 × 0.2 + 300 × 2.5 + 100 × 4 + 57 × 10 USD per million
  expect(costOf(usage, catalog.find('anthropic', 'claude-sonnet-5'))).toBe(4_120_000n);
});

test('[$-2] a model or vendor that is not listed has no price, and neither has one under another vendor', () => {
  expect(catalog.find('openai', 'gpt-unheard-of')).toBeUndefined();
  expect(catalog.find('nobody', 'gpt-5-mini')).toBeUndefined();
  expect(catalog.find('anthropic', 'gpt-5-mini')).toBeUndefined();
  expect(catalog.find('__proto__', 'toString')).toBeUndefined();
});

test('a dated name has its own price where it is listed, else that of the name without its date', () => {
  const { find } = readPriceCatalog(
    JSON.stringify({
      source: 'test',
      licence: 'none',
      as_of: '2026-01-01',
      models: { 'v/m': { input: '1' }, 'v/m-2026-01-31': { input: '2' } },
    }),
  );
  expect(find('v', 'm-2026-01-31')?.base).toEqual({ input: 2_000_000_000n });
  expect(find('v', 'm-2026-02-28')?.base).toEqual({ input: 1_000_000_000n });
  expect(find('v', 'm-20260228')?.base).toEqual({ input: 1_000_000_000n });
  expect(find('v', 'm-turbo')).toBeUndefined();
});

test('other prices have another version', () => {
  const text = (input: string) =>
    JSON.stringify({ source: 'test', licence: 'none', as_of: '2026-01-01', models: { 'v/m': { input } } });
  expect(readPriceCatalog(text('1')).version).toBe(readPriceCatalog(text('1')).version);
  expect(readPriceCatalog(text('1')).version).not.toBe(readPriceCatalog(text('2')).version);
});

test('a tier that leaves a bucket out keeps the base price of it', () => {
  const list = priceList(
    { input: '1', output: '2', tiers: [{ above_input_tokens: 10, input: '3' }] },
    'test',
  );
  expect(list.tiers[0]?.prices).toEqual({ input: 3_000_000_000n, output: 2_000_000_000n });
});

test.each(['{}', '[]', '{"source":"x","licence":"x","as_of":"soon","models":{}}'])(
  '%s is no snapshot',
  text => {
    expect(() => readPriceCatalog(text)).toThrow();
  },
);

test('a price that is not a decimal is refused', () => {
  const models = { 'v/m': { input: 'free' } };
  const text = JSON.stringify({ source: 'x', licence: 'x', as_of: '2026-01-01', models });
  expect(() => readPriceCatalog(text)).toThrow();
});
