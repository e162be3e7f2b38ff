import { readAnthropicUsage } from '../protocols/anthropic-messages/usage.ts';
import { asObject, asString } from '../protocols/read-json.ts';
import { readAnyUsage } from '../protocols/same-protocol/read-any-usage.ts';
import type { BatchApi } from './settle-batches.ts';
import { accessPath } from './settle-batches.ts';

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
};
