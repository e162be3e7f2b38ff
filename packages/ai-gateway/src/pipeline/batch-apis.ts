import type { ProviderObject } from '../domain/provider-object.ts';
import { readAnthropicUsage } from '../protocols/anthropic-messages/usage.ts';
import { asNumber, asObject, asString } from '../protocols/read-json.ts';
import { readAnyUsage } from '../protocols/same-protocol/read-any-usage.ts';
import type { BatchApi } from './batch-api.ts';
import { accessPath } from './batch-api.ts';

const ended = new Set(['completed', 'failed', 'expired', 'cancelled']);

/** OpenAI's batches: files of requests and of results. */
export const openaiBatches: BatchApi = {
  kind: 'batch',
  protocol: 'openai-batches',
  hasEnded: object => ended.has(asString(object.status) ?? ''),
  resultsPath({ object }, provider) {
    const file = asString(object.output_file_id);
    return file === undefined ? undefined : `${accessPath(provider, 'openai-files')}/${file}/content`;
  },
  readResult(line) {
    const body = asObject(asObject(line.response)?.body);
    const report = body && readAnyUsage(body);
    return report && { model: asString(body?.model), usage: report.usage };
  },
  isBegunBy: (object, intent) =>
    object.input_file_id === intent.object.input_file_id &&
    isOfTime((asNumber(object.created_at) ?? 0) * 1000, intent),
};

/** Anthropic's message batches. */
export const messageBatches: BatchApi = {
  kind: 'message-batch',
  protocol: 'anthropic-batches',
  hasEnded: object => object.processing_status === 'ended',
  resultsPath: ({ id }, provider) => `${accessPath(provider, 'anthropic-batches')}/${id}/results`,
  readResult(line) {
    const message = asObject(asObject(line.result)?.message);
    const usage = asObject(message?.usage);
    return usage && { model: asString(message?.model), usage: readAnthropicUsage(usage).usage };
  },
  isBegunBy(object, intent) {
    const counts = Object.values(asObject(object.request_counts) ?? {});
    const requests = counts.reduce<number>((sum, count) => sum + (asNumber(count) ?? 0), 0);
    return (
      requests === intent.object.requests && isOfTime(Date.parse(asString(object.created_at) ?? ''), intent)
    );
  },
};

/** Clocks differ, and providers tell whole seconds. */
const clockSkewMs = 60_000;
const longestAskMs = 900_000;

function isOfTime(createdAtMs: number, intent: ProviderObject): boolean {
  const sinceMs = createdAtMs - intent.createdAtMs;
  return sinceMs >= -clockSkewMs && sinceMs <= longestAskMs;
}
