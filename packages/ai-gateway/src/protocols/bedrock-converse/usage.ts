import {
  inputTokens,
  outputTokens,
  TokenCounter,
  type Usage,
  type UsageReport,
} from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { asObjects } from '../read-json.ts';

/** Bedrock's usage: `inputTokens` leaves out what was read from and written to the cache; `cacheDetails` tells how long that lives. */
export function readConverseUsage(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const written = counter.read(usage.cacheWriteInputTokens);
  const hourly = asObjects(usage.cacheDetails)
    .filter(detail => detail.ttl === '1h')
    .reduce((sum, detail) => sum + counter.read(detail.inputTokens), 0);
  const cacheWrite1h = Math.min(hourly, written);
  return {
    usage: {
      input: counter.read(usage.inputTokens),
      cacheRead: counter.read(usage.cacheReadInputTokens),
      cacheWrite: counter.without(written, hourly),
      cacheWrite1h,
      output: counter.read(usage.outputTokens),
      reasoning: 0,
    },
    isAnomalous: counter.isAnomalous,
  };
}

export function writeConverseUsage(usage: Usage): JsonObject {
  const cacheWrite = usage.cacheWrite + usage.cacheWrite1h;
  const input = inputTokens(usage);
  const output = outputTokens(usage);
  return {
    inputTokens: input - usage.cacheRead - cacheWrite,
    outputTokens: output,
    totalTokens: input + output,
    cacheReadInputTokens: usage.cacheRead,
    cacheWriteInputTokens: cacheWrite,
  };
}
