import { TokenCounter, type Usage, type UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';

/**
 * Gemini's `usageMetadata` in disjoint buckets: `promptTokenCount` includes what was read from the cache, `candidatesTokenCount`
 * leaves out thoughts, and what tools added to the prompt is counted apart.
 */
export function readGeminiUsage(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const prompt = counter.read(usage.promptTokenCount);
  const cached = counter.read(usage.cachedContentTokenCount);
  const cacheRead = Math.min(cached, prompt);
  return {
    usage: {
      input: counter.without(prompt, cached) + counter.read(usage.toolUsePromptTokenCount),
      cacheRead,
      cacheWrite: 0,
      cacheWrite1h: 0,
      output: counter.read(usage.candidatesTokenCount),
      reasoning: counter.read(usage.thoughtsTokenCount),
    },
    isAnomalous: counter.isAnomalous,
  };
}

export function writeGeminiUsage(usage: Usage): JsonObject {
  const prompt = usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWrite1h;
  return {
    promptTokenCount: prompt,
    ...(usage.cacheRead > 0 && { cachedContentTokenCount: usage.cacheRead }),
    candidatesTokenCount: usage.output,
    ...(usage.reasoning > 0 && { thoughtsTokenCount: usage.reasoning }),
    totalTokenCount: prompt + usage.output + usage.reasoning,
  };
}
