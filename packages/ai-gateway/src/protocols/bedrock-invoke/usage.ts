import { TokenCounter, type UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { AnswerHeaders } from '../../domain/protocol.ts';
import { asObject } from '../read-json.ts';
import { readAnyUsage } from '../same-protocol/read-any-usage.ts';

/** Bedrock counts in headers of the answer, whatever the model; else the model's own body may tell. */
export function readInvokeUsage(
  headers: AnswerHeaders,
  body: JsonObject | undefined,
): UsageReport | undefined {
  const count = (name: string) => numberIn(headers[`x-amzn-bedrock-${name}-token-count`]);
  const input = count('input');
  const output = count('output');
  if (input === undefined && output === undefined) return body && readBody(body);
  return report({
    input,
    output,
    cacheRead: count('cache-read-input'),
    cacheWrite: count('cache-write-input'),
  });
}

/** `amazon-bedrock-invocationMetrics` in the last chunk of a stream. */
export function readInvocationMetrics(metrics: JsonObject): UsageReport {
  return report({
    input: metrics.inputTokenCount,
    output: metrics.outputTokenCount,
    cacheRead: metrics.cacheReadInputTokenCount,
    cacheWrite: metrics.cacheWriteInputTokenCount,
  });
}

/** The words of Titan and of Llama, and those that other protocols share. */
function readBody(body: JsonObject): UsageReport | undefined {
  if (asObject(body.usage) !== undefined || asObject(body.meta) !== undefined) return readAnyUsage(body);
  const input = body.inputTextTokenCount ?? body.prompt_token_count;
  if (input === undefined) return undefined;
  return report({ input, output: body.generation_token_count });
}

function report(counts: {
  input: unknown;
  output: unknown;
  cacheRead?: unknown;
  cacheWrite?: unknown;
}): UsageReport {
  const counter = new TokenCounter();
  const usage = {
    input: counter.read(counts.input),
    cacheRead: counter.read(counts.cacheRead),
    cacheWrite: counter.read(counts.cacheWrite),
    cacheWrite1h: 0,
    output: counter.read(counts.output),
    reasoning: 0,
  };
  return { usage, isAnomalous: counter.isAnomalous };
}

function numberIn(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,12}$/.test(header) ? Number(header) : undefined;
}
