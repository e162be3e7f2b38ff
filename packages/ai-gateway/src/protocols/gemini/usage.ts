import {
  inputTokens,
  outputTokens,
  TokenCounter,
  type Usage,
  type UsageReport,
} from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { inputParts, outputParts, toolUses } from '../modalities.ts';
import { asObject, asObjects, asString } from '../read-json.ts';

/**
 * Gemini's `usageMetadata` in disjoint buckets: `promptTokenCount` includes what was read from the cache, `candidatesTokenCount`
 * leaves out thoughts, and what tools added to the prompt is counted apart. Details by modality tell what is sound, pictures and film. `searches`:
 * the queries of grounding, which are charged by the use.
 */
export function readGeminiUsage(usage: JsonObject, searches = 0): UsageReport {
  const counter = new TokenCounter();
  const tokens = (details: unknown, ...modalities: string[]) =>
    asObjects(details)
      .filter(({ modality }) => modalities.includes(asString(modality) ?? ''))
      .reduce((sum, { tokenCount }) => sum + counter.read(tokenCount), 0);
  const { promptTokensDetails, cacheTokensDetails, candidatesTokensDetails } = usage;
  const uncached = (...modalities: string[]) =>
    Math.max(0, tokens(promptTokensDetails, ...modalities) - tokens(cacheTokensDetails, ...modalities));
  const prompt = counter.read(usage.promptTokenCount);
  const cached = counter.read(usage.cachedContentTokenCount);
  const cacheRead = Math.min(cached, prompt);
  const input = inputParts(counter.without(prompt, cached), {
    audio: uncached('AUDIO'),
    image: uncached('IMAGE', 'VIDEO'),
  });
  return {
    usage: {
      ...input,
      input: input.input + counter.read(usage.toolUsePromptTokenCount),
      cacheRead,
      cacheWrite: 0,
      cacheWrite1h: 0,
      ...outputParts(counter.read(usage.candidatesTokenCount), {
        audio: tokens(candidatesTokensDetails, 'AUDIO'),
        image: tokens(candidatesTokensDetails, 'IMAGE', 'VIDEO'),
      }),
      reasoning: counter.read(usage.thoughtsTokenCount),
      ...toolUses(searches),
    },
    isAnomalous: counter.isAnomalous,
  };
}

/** The queries that the answer's grounding made, as far as this chunk tells. */
export function searchesIn(chunk: JsonObject): number {
  const queries = asObjects(chunk.candidates).map(candidate => {
    const made = asObject(candidate.groundingMetadata)?.webSearchQueries;
    return Array.isArray(made) ? made.length : 0;
  });
  return queries.reduce((sum, count) => sum + count, 0);
}

/** `trafficType` names the tier of service that was given: `ON_DEMAND_PRIORITY`, `ON_DEMAND_FLEX`; plain `ON_DEMAND` is the standard. */
export function serviceTierOf(usage: JsonObject | undefined): string | undefined {
  return asString(usage?.trafficType)
    ?.toLowerCase()
    .replace(/^on_demand_/, '');
}

export function writeGeminiUsage(usage: Usage): JsonObject {
  const prompt = inputTokens(usage);
  const total = prompt + outputTokens(usage);
  return {
    promptTokenCount: prompt,
    ...(usage.cacheRead > 0 && { cachedContentTokenCount: usage.cacheRead }),
    candidatesTokenCount: total - prompt - usage.reasoning,
    ...(usage.reasoning > 0 && { thoughtsTokenCount: usage.reasoning }),
    totalTokenCount: total,
  };
}
