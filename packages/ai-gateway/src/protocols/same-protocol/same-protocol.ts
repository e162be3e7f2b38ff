import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import { openaiErrorEvent, openaiErrors } from '@strata/shared/errors/openai.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { setMember } from '../../domain/json-splice.ts';
import { maxMediaEventBytes, type Protocol } from '../../domain/protocol.ts';
import { cohereErrors } from '../cohere-chat/cohere-chat.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { asString, parseObject } from '../read-json.ts';
import { readCommonRequest } from '../read-request.ts';
import { AnyStreamReader } from './any-stream-reader.ts';
import { openaiCompletions } from './completions.ts';
import { type FormApi, formApi } from './form-api.ts';
import { readAnyUsage } from './read-any-usage.ts';
import { readTranscriptionUsage, TranscriptReader } from './transcription.ts';

/** Members with the caller's own data. */
const content = new Set([
  'input',
  'query',
  'documents',
  'prompt',
  'instructions',
  'texts',
  'inputs',
  'images',
  'metadata',
]);

/** Pictures and sound come in one event each. */
const media = { maxEventBytes: maxMediaEventBytes };

/** Operations whose answers are made of no tokens. */
const tokenless = new Set(['embeddings', 'rerank', 'moderation']);

/** An API with one JSON request that names a model: routed, metered and passed on, never translated. */
function jsonApi(
  name: string,
  operation: string,
  {
    renderError = openaiErrors,
    defaultModel,
    ...limits
  }: { renderError?: ErrorRenderer; defaultModel?: string; maxEventBytes?: number } = {},
): Protocol {
  const always = { wantsStreamUsage: true, writesNoTokens: tokenless.has(operation) };
  return {
    name,
    operation,
    requestHeaders: ['openai-beta'],
    requestIdHeader: 'x-request-id',
    ...limits,
    renderError,
    renderStreamError: openaiErrorEvent,
    readRequest: body => ({ ...readCommonRequest(body, content, defaultModel), ...always }),
    writeRequest: (request, change) =>
      splice(request.body, setMember(request.scanned, 'model', JSON.stringify(change.model))),
    readAnswer(bytes) {
      const body = parseObject(bytes);
      if (body?.error) return { type: 'error', codes: readErrorCodes(body) };
      // What is not JSON is sound or an image: it says nothing about itself.
      const report = body && readAnyUsage(body);
      return { type: 'answer', facts: { model: asString(body?.model), finishReason: undefined, report } };
    },
    readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
    openReader: () => new AnyStreamReader(),
  };
}

/** What goes on from long conversations in fewer words, which only their provider can read. */
export const openaiCompact = jsonApi('openai-compact', 'compact');

const ofCohere = { renderError: cohereErrors };
const transcript = { readUsage: readTranscriptionUsage, openReader: () => new TranscriptReader() };
const pictures = { ...media, readUsage: readAnyUsage, openReader: () => new AnyStreamReader() };

function form(path: string, api: FormApi): SameProtocolApi {
  return { path, protocol: formApi(api), mediaTypes: ['multipart/form-data'] };
}

export interface SameProtocolApi {
  readonly path: string;
  readonly protocol: Protocol;
  /** JSON alone by default. */
  readonly mediaTypes?: readonly string[];
}

/** Of the gateway's own paths. */
export const sameProtocolApis: readonly SameProtocolApi[] = [
  { path: '/v1/completions', protocol: openaiCompletions },
  { path: '/v1/embeddings', protocol: jsonApi('openai-embeddings', 'embeddings') },
  {
    path: '/v1/moderations',
    protocol: jsonApi('openai-moderations', 'moderation', { defaultModel: 'omni-moderation-latest' }),
  },
  {
    path: '/v1/images/generations',
    protocol: jsonApi('openai-images', 'image_generation', { ...media, defaultModel: 'dall-e-2' }),
  },
  form('/v1/images/edits', { ...pictures, name: 'openai-image-edits', operation: 'image_edit' }),
  form('/v1/images/variations', {
    ...pictures,
    name: 'openai-image-variations',
    operation: 'image_variation',
  }),
  { path: '/v1/audio/speech', protocol: jsonApi('openai-speech', 'speech', media) },
  form('/v1/audio/transcriptions', {
    ...transcript,
    name: 'openai-transcriptions',
    operation: 'transcription',
  }),
  form('/v1/audio/translations', { ...transcript, name: 'openai-translations', operation: 'translation' }),
  { path: '/v1/rerank', protocol: jsonApi('rerank', 'rerank') },
  { path: '/v2/rerank', protocol: jsonApi('cohere-rerank', 'rerank', ofCohere) },
  { path: '/v2/embed', protocol: jsonApi('cohere-embed', 'embeddings', ofCohere) },
];
