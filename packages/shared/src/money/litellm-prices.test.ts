import { expect, test } from 'vitest';
import { fromLitellm } from './litellm-prices.ts';
import { costOf } from './price.ts';
import { readPriceCatalog } from './price-catalog.ts';

const file = {
  sample_spec: { litellm_provider: 'one of …', input_cost_per_token: 'text' },
  'claude-x': {
    litellm_provider: 'anthropic',
    input_cost_per_token: 3e-6,
    output_cost_per_token: 1.5e-5,
    cache_creation_input_token_cost: 3.75e-6,
    cache_creation_input_token_cost_above_1hr: 6e-6,
    cache_read_input_token_cost: 3e-7,
    input_cost_per_token_above_200k_tokens: 6e-6,
    output_cost_per_token_above_200k_tokens: 2.25e-5,
    max_input_tokens: 200_000,
    max_output_tokens: 64_000,
    mode: 'chat',
  },
  'gpt-x': {
    litellm_provider: 'openai',
    input_cost_per_token: 1e-6,
    input_cost_per_token_flex: 5e-7,
    input_cost_per_token_priority: 2e-6,
    input_cost_per_token_above_272k_tokens: 2e-6,
    input_cost_per_token_above_272k_tokens_priority: 4e-6,
    input_cost_per_token_batches: 5e-7,
    output_cost_per_token: 4e-6,
    output_cost_per_token_flex: 2e-6,
    output_cost_per_token_priority: 8e-6,
  },
  'sonar-x': {
    litellm_provider: 'perplexity',
    input_cost_per_token: 1e-6,
    output_cost_per_token: 1e-6,
    input_cost_per_request: 0.005,
  },
  'gemini/flash-x': { litellm_provider: 'gemini', input_cost_per_token: 7.5e-8, output_cost_per_token: 3e-7 },
  'openai/free-x': { litellm_provider: 'openai', input_cost_per_token: 0, output_cost_per_token: 0 },
};

const catalog = readPriceCatalog(fromLitellm(JSON.stringify(file), { source: 'test', asOf: '2026-11-27' }));
const usage = { input: 1000, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 10, output: 100, reasoning: 0 };

test('a file in the format of LiteLLM becomes a catalog: vendors, exact prices, tiers and limits', () => {
  const prices = catalog.find('anthropic', 'claude-x');
  expect(costOf(usage, prices)).toBe(4_560_000n); // 1000 × 3 + 10 × 6 + 100 × 15 USD per million
  expect(costOf({ ...usage, input: 200_001, cacheWrite1h: 0 }, prices)).toBe(1_202_256_000n);
  expect(prices?.limits).toEqual({ contextTokens: 200_000, maxOutputTokens: 64_000 });
  expect(costOf({ ...usage, cacheWrite1h: 0 }, catalog.find('google', 'flash-x'))).toBe(105_000n);
});

test('what a request costs by itself is kept', () => {
  expect(costOf({ ...usage, cacheWrite1h: 0 }, catalog.find('perplexity', 'sonar-x'))).toBe(6_100_000n);
});

test('[$-2] a price of 0 is no price, and what is not an entry is left out', () => {
  expect(catalog.find('openai', 'free-x')).toBeUndefined();
  expect(catalog.entries()).toHaveLength(4);
});

test('tiers of service come with their own prices and bounds; half of a price is none', () => {
  const prices = catalog.find('openai', 'gpt-x');
  const short = { ...usage, input: 1000, cacheWrite1h: 0, output: 100 };
  expect(costOf(short, prices)).toBe(1_400_000n);
  expect(costOf(short, prices, 'flex')).toBe(700_000n);
  expect(costOf(short, prices, 'priority')).toBe(2_800_000n);
  expect(costOf({ ...short, input: 300_000, output: 0 }, prices, 'priority')).toBe(1_200_000_000n);
  expect(costOf(short, prices, 'batch')).toBeUndefined(); // without a price of output
});
