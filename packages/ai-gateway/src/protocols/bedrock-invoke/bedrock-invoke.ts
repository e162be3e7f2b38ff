import { bedrockErrors } from '@strata/shared/errors/bedrock.ts';
import { awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { bedrockConverse } from '../bedrock-converse/bedrock-converse.ts';
import { formatException } from '../bedrock-converse/encode-answer.ts';
import { asString, parseObject } from '../read-json.ts';
import { readPathRequest } from '../read-request.ts';
import { InvokeStreamReader, ordinaryTier } from './stream-reader.ts';
import { readInvokeUsage } from './usage.ts';

/** Members with the caller's own data: the bodies of models are of all kinds. */
const content = new Set(['inputText', 'texts', 'prompt', 'messages', 'system', 'images', 'inputImage']);

/**
 * Bedrock's InvokeModel and InvokeModelWithResponseStream, for models with a body of their own: embeddings, pictures, older texts. Routed and
 * metered, and every byte passes. Bodies for Claude are Messages, and go wherever those go.
 */
export const bedrockInvoke: Protocol = {
  name: 'bedrock-invoke',
  operation: 'invoke_model',
  // Without those that ask for another tier of service: that would have another price.
  requestHeaders: [
    'accept',
    'x-amzn-bedrock-accept',
    'x-amzn-bedrock-guardrailidentifier',
    'x-amzn-bedrock-guardrailversion',
    'x-amzn-bedrock-trace',
  ],
  requestIdHeader: 'x-amzn-requestid',
  errorHeaders: ['x-amzn-errortype'],
  answerHeaders: [
    'x-amzn-bedrock-input-token-count',
    'x-amzn-bedrock-output-token-count',
    'x-amzn-bedrock-invocation-latency',
    'x-amzn-bedrock-performanceconfig-latency',
    'x-amzn-bedrock-service-tier',
  ],
  streamType: awsEventStreamType,
  renderError: bedrockErrors,
  renderStreamError: formatException,
  // A body's own member of that name is for the model, and asks Bedrock for nothing.
  readRequest: (body, path) => ({ ...readPathRequest(body, path, content), serviceTier: ordinaryTier }),
  writeRequest: request => request.body,
  readAnswer(bytes, headers) {
    const report = readInvokeUsage(headers, parseObject(bytes));
    const serviceTier = asString(headers['x-amzn-bedrock-service-tier']) ?? ordinaryTier;
    return { type: 'answer', facts: { model: undefined, finishReason: undefined, report, serviceTier } };
  },
  readErrorCodes: bedrockConverse.readErrorCodes,
  openReader: () => new InvokeStreamReader(),
};
