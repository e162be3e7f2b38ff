import {
  inputTokens,
  outputTokens,
  TokenCounter,
  type Usage,
  type UsageReport,
} from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { toolUses } from '../modalities.ts';
import { asObject } from '../read-json.ts';

/** Cohere bills `billed_units`, also searches of reranking; `tokens` also counts what it adds itself. */
export function readCohereUsage(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const billed = asObject(usage.billed_units) ?? asObject(usage.tokens) ?? {};
  const input = counter.read(billed.input_tokens);
  const cached = Math.min(counter.read(usage.cached_tokens), input);
  return {
    usage: {
      input: input - cached,
      cacheRead: cached,
      cacheWrite: 0,
      cacheWrite1h: 0,
      output: counter.read(billed.output_tokens),
      reasoning: 0,
      ...toolUses(counter.read(billed.search_units)),
    },
    isAnomalous: counter.isAnomalous,
  };
}

export function writeCohereUsage(usage: Usage): JsonObject {
  const counts = { input_tokens: inputTokens(usage), output_tokens: outputTokens(usage) };
  return { billed_units: counts, tokens: counts, cached_tokens: usage.cacheRead };
}
