import { TokenCounter, type UsageReport } from '@strata/shared/money/usage.ts';
import { toolUses } from '../modalities.ts';
import { asObject } from '../read-json.ts';

/**
 * Anthropic's `usage` in disjoint buckets: `input_tokens` exclude the cache, `cache_creation_input_tokens` are broken down by
 * lifetime in `cache_creation`, `output_tokens` include thinking. Web searches are charged by the use; what they bring is input.
 */
export function readAnthropicUsage(usage: Readonly<Record<string, unknown>>): UsageReport {
  const counter = new TokenCounter();
  const creation = asObject(usage.cache_creation);
  const written = counter.read(usage.cache_creation_input_tokens);
  const oneHour = counter.read(creation?.ephemeral_1h_input_tokens);
  const fiveMinutes = counter.read(creation?.ephemeral_5m_input_tokens);
  const output = counter.read(usage.output_tokens);
  const thinking = counter.read(asObject(usage.output_tokens_details)?.thinking_tokens);
  return {
    usage: {
      input: counter.read(usage.input_tokens),
      cacheRead: counter.read(usage.cache_read_input_tokens),
      cacheWrite: Math.max(fiveMinutes, written - oneHour),
      cacheWrite1h: oneHour,
      output: counter.without(output, Math.min(thinking, output)),
      reasoning: Math.min(thinking, output),
      ...toolUses(counter.read(asObject(usage.server_tool_use)?.web_search_requests)),
    },
    isAnomalous: counter.isAnomalous || thinking > output,
  };
}

/**
 * The usage of a stream so far. `message_start` tells the input, `message_delta` the output and sometimes better input counts;
 * both are cumulative, so what a later event says replaces what an earlier one said.
 */
export function mergeUsage(
  earlier: Readonly<Record<string, unknown>>,
  later: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const said = Object.entries(later).filter(([, value]) => value !== null && value !== undefined);
  return { ...earlier, ...Object.fromEntries(said) };
}
