import { geminiErrorEvent, geminiErrors } from '@strata/shared/errors/gemini.ts';
import { splice } from '@strata/shared/json/splice.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import { TokenCounter } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { lastMember, membersOfElements } from '../../domain/json-scan.ts';
import type { ModelRequest, Protocol } from '../../domain/protocol.ts';
import { asObject, asObjects, parseObject } from '../read-json.ts';
import { readPathRequest } from '../read-request.ts';
import { parseErrorBody, readErrorCodes, readRetryDelay } from './errors.ts';
import { GeminiStreamReader } from './stream-reader.ts';
import { readGeminiUsage } from './usage.ts';

/** Members with the caller's own data. */
const content = new Set(['content', 'contents', 'requests', 'instances']);

/** A method of Gemini's models that only they have: routed and metered, and its bytes pass but for the names of the model in them. */
function passedMethod(name: string, operation: string): Protocol {
  const writesNoTokens = operation === 'embeddings';
  return {
    name,
    operation,
    requestHeaders: ['x-goog-api-client'],
    requestIdHeader: 'x-request-id',
    renderError: geminiErrors,
    renderStreamError: geminiErrorEvent,
    readRequest: (body, path) => ({ ...readPathRequest(body, path, content), writesNoTokens }),
    writeRequest: (request, { model }) => {
      const text = JSON.stringify(`models/${model}`);
      return splice(
        request.body,
        namesOfModel(request).map(span => ({ ...span, text })),
      );
    },
    readAnswer(bytes) {
      const body = parseObject(bytes);
      if (body === undefined) return { type: 'malformed' };
      if (body.error) return { type: 'error', codes: readErrorCodes(body) };
      return {
        type: 'answer',
        facts: { model: undefined, finishReason: undefined, report: readUsage(body) },
      };
    },
    readErrorCodes: body => readErrorCodes(parseErrorBody(body)),
    readRetryAfterMs: body => readRetryDelay(parseErrorBody(body)),
    openReader: () => new GeminiStreamReader(),
  };
}

/** The path names the model, and so does every request of a batch. */
function namesOfModel({ body, scanned }: ModelRequest) {
  const requests = lastMember(scanned, 'requests');
  return [
    ...scanned.members.filter(({ key }) => key === 'model').map(({ value }) => value),
    ...(requests === undefined ? [] : membersOfElements(body, requests, 'model')),
  ];
}

/** Gemini tells `usageMetadata`, the predictions of Vertex AI count the tokens of each text. */
function readUsage(body: JsonObject): UsageReport | undefined {
  const usage = asObject(body.usageMetadata);
  if (usage !== undefined) return readGeminiUsage(usage);
  const counts = asObjects(body.predictions)
    .map(prediction => asObject(asObject(prediction.embeddings)?.statistics)?.token_count)
    .filter(count => count !== undefined);
  if (counts.length === 0) return undefined;
  const counter = new TokenCounter();
  const input = counter.read(counts.reduce<number>((sum, count) => sum + counter.read(count), 0));
  return {
    usage: { input, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 },
    isAnomalous: counter.isAnomalous,
  };
}

/** Method of a model → its protocol. `predict` makes embeddings on Vertex AI, and pictures on both. */
export const passedMethods: ReadonlyMap<string, Protocol> = new Map([
  ['embedContent', passedMethod('gemini-embed', 'embeddings')],
  ['batchEmbedContents', passedMethod('gemini-batch-embed', 'embeddings')],
  ['predict', passedMethod('gemini-predict', 'predict')],
]);
