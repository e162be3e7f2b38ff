import { costOf } from '@strata/shared/money/price.ts';
import { builtInPrices, priceList } from '@strata/shared/money/price-catalog.ts';
import { inputTokens, outputTokens, usageBuckets } from '@strata/shared/money/usage.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readAnthropicUsage } from './anthropic-messages/usage.ts';
import { readConverseUsage } from './bedrock-converse/usage.ts';
import { readCohereUsage } from './cohere-chat/usage.ts';
import { readGeminiUsage, serviceTierOf } from './gemini/usage.ts';
import { readOpenaiUsage } from './openai-chat/usage.ts';
import { readResponsesUsage } from './openai-responses/usage.ts';
import { readAnyUsage } from './same-protocol/read-any-usage.ts';

test('OpenAI: cached and reasoning tokens are taken out of the totals they are part of', () => {
  const { usage, isAnomalous } = readOpenaiUsage({
    prompt_tokens: 1000,
    completion_tokens: 100,
    total_tokens: 1100,
    prompt_tokens_details: { cached_tokens: 600, cache_write_tokens: 100, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 40 },
  });
  expect(usage).toEqual({
    input: 300,
    cacheRead: 600,
    cacheWrite: 100,
    cacheWrite1h: 0,
    output: 60,
    reasoning: 40,
  });
  expect(isAnomalous).toBe(false);
});

test('DeepSeek: cache reads under their other name', () => {
  const { usage } = readOpenaiUsage({ prompt_tokens: 10, prompt_cache_hit_tokens: 4, completion_tokens: 1 });
  expect(usage).toMatchObject({ input: 6, cacheRead: 4, output: 1 });
});

test('Anthropic: the cache comes on top of the input, and cache writes go by their lifetime', () => {
  const { usage } = readAnthropicUsage({
    input_tokens: 10,
    cache_read_input_tokens: 500,
    cache_creation_input_tokens: 300,
    cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
    output_tokens: 50,
    output_tokens_details: { thinking_tokens: 20 },
  });
  expect(usage).toEqual({
    input: 10,
    cacheRead: 500,
    cacheWrite: 100,
    cacheWrite1h: 200,
    output: 30,
    reasoning: 20,
  });
});

const none = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

test('OpenAI: sound and pictures are counted apart from text, in and out', () => {
  const { usage } = readOpenaiUsage({
    prompt_tokens: 100,
    completion_tokens: 80,
    prompt_tokens_details: { cached_tokens: 20, audio_tokens: 30, image_tokens: 10, text_tokens: 60 },
    completion_tokens_details: { reasoning_tokens: 5, audio_tokens: 40 },
  });
  expect(usage).toEqual({
    ...none,
    input: 40,
    audioInput: 30,
    imageInput: 10,
    cacheRead: 20,
    output: 35,
    audioOutput: 40,
    reasoning: 5,
  });
});

test('Responses: the cache, reasoning, and searches of the web, which are items of the output', () => {
  const search = (action?: object) => ({ type: 'web_search_call', status: 'completed', ...action });
  const { usage } = readResponsesUsage(
    {
      input_tokens: 500,
      input_tokens_details: { cached_tokens: 100, cache_write_tokens: 50 },
      output_tokens: 60,
      output_tokens_details: { reasoning_tokens: 20 },
      total_tokens: 560,
    },
    [
      search({ action: { type: 'search', query: 'x' } }),
      search({ action: { type: 'open_page', url: 'https://example.com' } }),
      search(),
      { type: 'message' },
    ],
  );
  expect(usage).toEqual({
    input: 350,
    cacheRead: 100,
    cacheWrite: 50,
    cacheWrite1h: 0,
    output: 40,
    reasoning: 20,
    toolUnits: 2,
  });
});

test('Anthropic: searches of the web are units of their own, pages that are fetched are not', () => {
  const { usage } = readAnthropicUsage({
    input_tokens: 10,
    output_tokens: 5,
    server_tool_use: { web_search_requests: 3, web_fetch_requests: 2 },
  });
  expect(usage).toEqual({ ...none, input: 10, output: 5, toolUnits: 3 });
});

test('Gemini: the cache, thoughts, what tools added, and the details by modality', () => {
  const detail = (modality: string, tokenCount: number) => ({ modality, tokenCount });
  const { usage } = readGeminiUsage(
    {
      promptTokenCount: 1000,
      cachedContentTokenCount: 300,
      toolUsePromptTokenCount: 50,
      candidatesTokenCount: 90,
      thoughtsTokenCount: 40,
      totalTokenCount: 1180,
      promptTokensDetails: [
        detail('TEXT', 400),
        detail('AUDIO', 350),
        detail('VIDEO', 150),
        detail('IMAGE', 100),
      ],
      cacheTokensDetails: [detail('AUDIO', 300)],
      candidatesTokensDetails: [detail('TEXT', 20), detail('IMAGE', 70)],
      trafficType: 'ON_DEMAND_FLEX',
    },
    2,
  );
  expect(usage).toEqual({
    ...none,
    input: 450,
    audioInput: 50,
    imageInput: 250,
    cacheRead: 300,
    output: 20,
    imageOutput: 70,
    reasoning: 40,
    toolUnits: 2,
  });
});

test.each([
  ['ON_DEMAND', 'on_demand'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['ON_DEMAND_FLEX', 'flex'],
  ['PROVISIONED_THROUGHPUT', 'provisioned_throughput'],
  [undefined, undefined],
])('Gemini: the traffic type %s is the tier of service %s', (trafficType, tier) => {
  expect(serviceTierOf({ trafficType })).toBe(tier);
});

test('Converse: the cache on top of the input, and cache writes by their lifetime', () => {
  const { usage } = readConverseUsage({
    inputTokens: 10,
    outputTokens: 20,
    totalTokens: 630,
    cacheReadInputTokens: 200,
    cacheWriteInputTokens: 400,
    cacheDetails: [
      { ttl: '5m', inputTokens: 100 },
      { ttl: '1h', inputTokens: 300 },
    ],
  });
  expect(usage).toEqual({
    ...none,
    input: 10,
    cacheRead: 200,
    cacheWrite: 100,
    cacheWrite1h: 300,
    output: 20,
  });
});

test('Cohere: what is billed, and the searches of reranking', () => {
  const { usage } = readCohereUsage({
    billed_units: { input_tokens: 30, output_tokens: 7 },
    tokens: { input_tokens: 95, output_tokens: 9 },
    cached_tokens: 10,
  });
  expect(usage).toEqual({ ...none, input: 20, cacheRead: 10, output: 7 });
  const reranked = readAnyUsage({ id: '1', results: [], meta: { billed_units: { search_units: 2 } } });
  expect(reranked?.usage).toEqual({ ...none, toolUnits: 2 });
});

test('Images of OpenAI: pictures in and out, where the details tell them', () => {
  const usage = {
    input_tokens: 60,
    input_tokens_details: { text_tokens: 20, image_tokens: 40 },
    output_tokens: 1000,
    output_tokens_details: { image_tokens: 1000, text_tokens: 0 },
    total_tokens: 1060,
  };
  expect(readAnyUsage({ created: 1, data: [], usage })?.usage).toEqual({
    ...none,
    input: 20,
    imageInput: 40,
    imageOutput: 1000,
  });
});

test('[$-2] a search without a price makes the answer unpriced; with one it is on top of the tokens', () => {
  const { usage } = readAnthropicUsage({
    input_tokens: 1000,
    output_tokens: 0,
    server_tool_use: { web_search_requests: 2 },
  });
  const tokens = { input: '1', output: '2' };
  expect(costOf(usage, priceList(tokens, 'test'))).toBeUndefined();
  expect(costOf(usage, priceList({ ...tokens, tool_units: '10000' }, 'test'))).toBe(21_000_000n);
  expect(costOf(usage, builtInPrices().find('anthropic', 'claude-haiku-4-5'))).toBe(21_000_000n);
});

test('Anthropic: cache writes without a breakdown are the short-lived ones', () => {
  const { usage } = readAnthropicUsage({ input_tokens: 1, cache_creation_input_tokens: 7, output_tokens: 1 });
  expect(usage).toMatchObject({ cacheWrite: 7, cacheWrite1h: 0 });
});

const count = fc.oneof(
  fc.nat(1_000_000),
  fc.constantFrom(-1, 1e18, 0.5, Number.NaN, Number.POSITIVE_INFINITY, null, '7', {}, [], true),
);

test('[F41] property: whatever an upstream reports, buckets are whole, bounded and never negative', () => {
  const openai = fc.record({
    prompt_tokens: count,
    completion_tokens: count,
    prompt_tokens_details: fc.oneof(
      fc.record({ cached_tokens: count, cache_write_tokens: count }),
      fc.constant(null),
    ),
    completion_tokens_details: fc.oneof(fc.record({ reasoning_tokens: count }), fc.constant('x')),
  });
  const anthropic = fc.record({
    input_tokens: count,
    cache_read_input_tokens: count,
    cache_creation_input_tokens: count,
    cache_creation: fc.oneof(
      fc.record({ ephemeral_5m_input_tokens: count, ephemeral_1h_input_tokens: count }),
      fc.constant(null),
    ),
    output_tokens: count,
    output_tokens_details: fc.record({ thinking_tokens: count }),
  });
  fc.assert(
    fc.property(openai, anthropic, (chat, message) => {
      for (const { usage } of [readOpenaiUsage(chat), readAnthropicUsage(message)]) {
        for (const bucket of usageBuckets) {
          const tokens = usage[bucket] ?? 0;
          expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
        }
        expect(inputTokens(usage) + outputTokens(usage)).toBeLessThan(1e10);
      }
    }),
    { numRuns: 2000 },
  );
});

test('property: sane OpenAI totals are kept, whatever the parts claim', () => {
  fc.assert(
    fc.property(
      fc.nat(1e6),
      fc.nat(1e6),
      fc.nat(1e6),
      fc.nat(1e6),
      (prompt, completion, cached, reasoning) => {
        const { usage } = readOpenaiUsage({
          prompt_tokens: prompt,
          completion_tokens: completion,
          prompt_tokens_details: { cached_tokens: cached },
          completion_tokens_details: { reasoning_tokens: reasoning },
        });
        expect(inputTokens(usage)).toBe(prompt);
        expect(outputTokens(usage)).toBe(completion);
      },
    ),
  );
});
