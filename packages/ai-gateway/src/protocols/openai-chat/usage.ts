import { TokenCounter, type UsageReport } from '@strata/shared/money/usage.ts';
import { inputParts, outputParts, toolUses } from '../modalities.ts';
import { asObject } from '../read-json.ts';

/**
 * OpenAI's `usage` in disjoint buckets: `prompt_tokens` include cache reads and writes, `completion_tokens` include
 * reasoning; of both the details tell what is sound and pictures. DeepSeek tells cache reads as `prompt_cache_hit_tokens`, Perplexity the
 * searches it charges for as `num_search_queries`.
 */
export function readOpenaiUsage(usage: Readonly<Record<string, unknown>>): UsageReport {
  const counter = new TokenCounter();
  const promptDetails = asObject(usage.prompt_tokens_details);
  const completionDetails = asObject(usage.completion_tokens_details);
  const prompt = counter.read(usage.prompt_tokens);
  const completion = counter.read(usage.completion_tokens);
  const reported = counter.read(promptDetails?.cached_tokens ?? usage.prompt_cache_hit_tokens);
  const cacheRead = Math.min(reported, prompt);
  const cacheWrite = Math.min(counter.read(promptDetails?.cache_write_tokens), prompt - cacheRead);
  const reasoning = Math.min(counter.read(completionDetails?.reasoning_tokens), completion);
  return {
    usage: {
      ...inputParts(counter.without(prompt, cacheRead + cacheWrite), {
        audio: counter.read(promptDetails?.audio_tokens),
        image: counter.read(promptDetails?.image_tokens),
      }),
      cacheRead,
      cacheWrite,
      cacheWrite1h: 0,
      ...outputParts(completion - reasoning, {
        audio: counter.read(completionDetails?.audio_tokens),
        image: counter.read(completionDetails?.image_tokens),
      }),
      reasoning,
      ...toolUses(counter.read(usage.num_search_queries)),
    },
    isAnomalous: counter.isAnomalous || reported > prompt,
  };
}
