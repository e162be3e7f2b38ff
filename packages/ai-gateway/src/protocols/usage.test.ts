import { inputTokens, outputTokens, usageBuckets } from '@strata/shared/money/usage.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readAnthropicUsage } from './anthropic-messages/usage.ts';
import { readOpenaiUsage } from './openai-chat/usage.ts';

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
