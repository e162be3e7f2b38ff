import {
  inputTokens,
  outputTokens,
  TokenCounter,
  type Usage,
  type UsageReport,
} from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { inputParts, outputParts, toolUses } from '../modalities.ts';
import { asObject, asObjects } from '../read-json.ts';

/**
 * As in Chat Completions, with other names: `input_tokens` include the cache, `output_tokens` include reasoning. Searches of the web are charged by
 * the use and are items of the output.
 */
export function readResponsesUsage(usage: JsonObject, output: unknown = []): UsageReport {
  const counter = new TokenCounter();
  const inputDetails = asObject(usage.input_tokens_details);
  const input = counter.read(usage.input_tokens);
  const outputDetails = asObject(usage.output_tokens_details);
  const written = counter.read(usage.output_tokens);
  const reported = counter.read(inputDetails?.cached_tokens);
  const cacheRead = Math.min(reported, input);
  const cacheWrite = Math.min(counter.read(inputDetails?.cache_write_tokens), input - cacheRead);
  const thought = counter.read(outputDetails?.reasoning_tokens);
  const reasoning = Math.min(thought, written);
  return {
    usage: {
      ...inputParts(counter.without(input, cacheRead + cacheWrite), {
        audio: counter.read(inputDetails?.audio_tokens),
        image: counter.read(inputDetails?.image_tokens),
      }),
      cacheRead,
      cacheWrite,
      cacheWrite1h: 0,
      ...outputParts(written - reasoning, {
        audio: counter.read(outputDetails?.audio_tokens),
        image: counter.read(outputDetails?.image_tokens),
      }),
      reasoning,
      ...toolUses(asObjects(output).filter(isSearch).length),
    },
    isAnomalous: counter.isAnomalous || reported > input || thought > written,
  };
}

/** To open a page that was found, and to look for words in it, costs nothing more. */
function isSearch({ type, action }: JsonObject): boolean {
  return type === 'web_search_call' && (asObject(action)?.type ?? 'search') === 'search';
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
