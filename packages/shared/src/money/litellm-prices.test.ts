import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromLitellm, litellmModels } from './litellm-prices.ts';
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

test.each(['[]', 'null', '"x"'])('a file that holds %s is refused in words', text => {
  const read = () => fromLitellm(text, { source: 'test', asOf: '2026-11-27' });
  expect(read).toThrow('Expected an object that has an entry for each model.');
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

const plain = { litellm_provider: 'openai', input_cost_per_token: 1e-6, output_cost_per_token: 2e-6 };

describe('an entry as people write it', () => {
  test.each([
    ['texts', { input_cost_per_token: '2.5e-07', output_cost_per_token: '0.000002' }, { input: '0.25' }],
    ['nothing known', { cache_read_input_token_cost: null, max_input_tokens: 'many' }, { output: '2' }],
    ['a length as text', { max_input_tokens: '200000' }, { context_tokens: 200_000 }],
    ['finer than a nano-USD', { input_cost_per_token: 1e-19 }, { input: '0.000000001' }],
    [
      'a tier of texts',
      { input_cost_per_token_above_200k_tokens: '4e-6' },
      { tiers: [{ above_input_tokens: 200_000, input: '4' }] },
    ],
  ])('%s', (_, more, expected) => {
    expect(litellmModels({ m: { ...plain, ...more } })).toMatchObject({ 'openai/m': expected });
  });

  test.each([
    ['negative', { input_cost_per_token: -1e-6 }],
    ['no number', { output_cost_per_token: 'free' }],
    ['more than anything costs', { input_cost_per_token: 1e300 }],
    ['ten billion a million', { input_cost_per_token: 10_000 }],
    ['a tier that cannot be read', { input_cost_per_token_above_200k_tokens: -1 }],
    ['a tier above nothing', { input_cost_per_token_above_0k_tokens: 2e-6 }],
    ['a tier above everything', { [`input_cost_per_token_above_${'9'.repeat(30)}k_tokens`]: 2e-6 }],
    ['a cache that gives money', { cache_read_input_token_cost: -1 }],
    ['no provider', { litellm_provider: '' }],
    ['a tool', { litellm_provider: 'tool:search' }],
  ])('[$-2] %s: it is left out, and the rest is taken', (_, more) => {
    const models = litellmModels({ bad: { ...plain, ...more }, '': plain, good: plain });
    expect(Object.keys(models)).toEqual(['openai/good']);
  });

  test('what has one price only: an embedding its input, what listens its seconds', () => {
    const { output_cost_per_token: _, ...input } = plain;
    const embedding = { ...input, output_cost_per_token: 0, mode: 'embedding' };
    const listening = {
      litellm_provider: 'openai',
      mode: 'audio_transcription',
      input_cost_per_second: 1e-4,
    };
    expect(litellmModels({ embedding, listening, talking: { ...input, mode: 'chat' } })).toEqual({
      'openai/embedding': { input: '1' },
      'openai/listening': { audio_seconds: '100' },
    });
  });

  test('a provider that is called like a member of every object keeps its name', () => {
    expect(Object.keys(litellmModels({ toString: { ...plain, litellm_provider: 'constructor' } }))).toEqual([
      'constructor/toString',
    ]);
  });

  test('[$-2] whatever its members are, it is left out or has prices above 0 that a catalog reads', () => {
    const names = fc.constantFrom(
      ...Object.keys({ ...file['claude-x'], ...file['gpt-x'], ...file['sonar-x'] }),
      'input_cost_per_second',
    );
    const value = fc.oneof(
      fc.double({ min: 0, max: 1e-3 }),
      fc.double(),
      fc.double().map(String),
      fc.jsonValue(),
    );
    const odd = fc.dictionary(names, value).map(members => ({ ...plain, ...members }));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(odd, fc.jsonValue())), list => {
        const text = JSON.stringify(list);
        const read = readPriceCatalog(fromLitellm(text, { source: 'test', asOf: '2026-11-27' }));
        expect(JSON.stringify(read.entries().map(({ prices }) => prices))).not.toMatch(/"[0.]+"/);
      }),
    );
  });
});
