import {
  inputTokens,
  outputTokens,
  TokenCounter,
  type Usage,
  type UsageReport,
} from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { asObject } from '../read-json.ts';

/** As in Chat Completions, with other names: `input_tokens` include the cache, `output_tokens` include reasoning. */
export function readResponsesUsage(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const inputDetails = asObject(usage.input_tokens_details);
  const input = counter.read(usage.input_tokens);
  const output = counter.read(usage.output_tokens);
  const reported = counter.read(inputDetails?.cached_tokens);
  const cacheRead = Math.min(reported, input);
  const cacheWrite = Math.min(counter.read(inputDetails?.cache_write_tokens), input - cacheRead);
  const thought = counter.read(asObject(usage.output_tokens_details)?.reasoning_tokens);
  const reasoning = Math.min(thought, output);
  return {
    usage: {
      input: counter.without(input, cacheRead + cacheWrite),
      cacheRead,
      cacheWrite,
      cacheWrite1h: 0,
      output: output - reasoning,
      reasoning,
    },
    isAnomalous: counter.isAnomalous || reported > input || thought > output,
  };
}

export function writeResponsesUsage(usage: Usage): JsonObject {
  const input = inputTokens(usage);
  const output = outputTokens(usage);
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: usage.cacheRead,
      cache_write_tokens: usage.cacheWrite + usage.cacheWrite1h,
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: input + output,
  };
}
