import { expect, test } from 'vitest';
import { costOf } from './price.ts';
import { builtInPrices, priceList, readPriceCatalog } from './price-catalog.ts';
import type { Usage } from './usage.ts';
import { worstCaseCost } from './worst-case.ts';

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

const usage = { ...none, input: 1_000_000, cacheRead: 1_000_000, output: 1_000_000 };
const tiered = { input: '1', output: '4', cache_read: '0.5', tool_units: '10' };

test('a multiplier holds for every token at every length, and not for tools that the provider runs', () => {
  const list = priceList(
    {
      ...tiered,
      tiers: [{ above_input_tokens: 2_500_000, input: '2' }],
      service_tiers: { flex: { multiplier: '0.5' }, priority: { multiplier: '2', output: '9' } },
    },
    'test',
  );
  const usd = 1_000_000_000n;
  expect(costOf(usage, list)).toBe((11n * usd) / 2n);
  expect(costOf(usage, list, 'flex')).toBe((11n * usd) / 4n);
  expect(costOf(usage, list, 'priority')).toBe(12n * usd); // 2 + 1 + 9
  expect(costOf(usage, list, 'FLEX')).toBe(costOf(usage, list, 'flex'));
  expect(costOf({ ...none, input: 3_000_000 }, list, 'flex')).toBe(3n * usd); // 3 × 2 × 0.5
  expect(costOf({ ...none, toolUnits: 1_000_000 }, list, 'flex')).toBe(10n * usd);
});

test('[$-2] a request has a price beside what it uses, once for each answer, whatever the tier of service', () => {
  const usd = 1_000_000_000n;
  const list = priceList(
    { ...tiered, requests: '5000', service_tiers: { flex: { multiplier: '0.5' } } },
    'test',
  );
  expect(costOf(none, list)).toBe(usd / 200n);
  expect(costOf(usage, list)).toBe((11n * usd) / 2n + usd / 200n);
  expect(costOf(usage, list, 'flex')).toBe((11n * usd) / 4n + usd / 200n);
  expect(worstCaseCost(list, { input: 0, output: 0 })).toBe(usd / 200n);
});

test('prices of a tier of service without a multiplier stand alone', () => {
  const batch = { input: '0.5', output: '2', tiers: [{ above_input_tokens: 10, input: '0.75' }] };
  const list = priceList({ ...tiered, service_tiers: { batch } }, 'test');
  expect(costOf({ ...none, input: 10, output: 1 }, list, 'batch')).toBe(7000n);
  expect(costOf({ ...none, input: 20 }, list, 'batch')).toBe(15_000n);
  expect(costOf({ ...none, cacheRead: 1 }, list, 'batch')).toBeUndefined();
});

test('[$-2] a tier of service that is not listed has no price; the names of the standard one have the standard price', () => {
  const list = priceList({ ...tiered, service_tiers: { flex: { multiplier: '0.5' } } }, 'test');
  for (const name of ['priority', 'scale', '__proto__', 'toString'])
    expect(costOf(usage, list, name)).toBeUndefined();
  for (const name of [undefined, 'default', 'standard', 'auto', 'on_demand', 'Standard'])
    expect(costOf(usage, list, name)).toBe(costOf(usage, list));
  expect(worstCaseCost(list, { input: 1, output: 1 }, 'priority')).toBeUndefined();
});

test('[$-1] the worst case is that of the dearest tier of service that the account may give', () => {
  const list = priceList({ ...tiered, service_tiers: { priority: { multiplier: '2.5' } } }, 'test');
  const most = { input: 1_000_000, output: 1_000_000 };
  expect(worstCaseCost(list, most)).toBe(12_500_000_000n);
  expect(costOf({ ...none, ...most }, list, 'priority')).toBe(12_500_000_000n);
});

test.each(['0', '0.0', '-1', 'half'])('%s is no multiplier', multiplier => {
  const models = { 'v/m': { input: '1', service_tiers: { flex: { multiplier } } } };
  const text = JSON.stringify({ source: 'x', licence: 'x', as_of: '2026-01-01', models });
  expect(() => readPriceCatalog(text)).toThrow();
});

test('the snapshot has what vendors say of those who wait', () => {
  const known = { ...none, input: 1000, output: 1000 };
  const halved = [
    ['openai', 'gpt-5-mini', 'flex'],
    ['openai', 'gpt-5-mini', 'batch'],
    ['anthropic', 'claude-sonnet-5', 'batch'],
  ] as const;
  for (const [vendor, model, service] of halved) {
    const prices = catalog.find(vendor, model);
    expect((costOf(known, prices, service) ?? 0n) * 2n).toBe(costOf(known, prices));
  }
});
