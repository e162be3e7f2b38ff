import { geminiErrorEvent, geminiErrors } from '@strata/shared/errors/gemini.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { asNumber, parseObject } from '../read-json.ts';
import { readPathRequest } from '../read-request.ts';
import { geminiCodec } from './codec.ts';
import { parseErrorBody, readErrorCodes, readRetryDelay } from './errors.ts';
import { geminiProtocol } from './names.ts';
import { GeminiStreamReader } from './stream-reader.ts';

/** Members with the caller's own data. */
const content = new Set(['contents', 'systemInstruction', 'system_instruction', 'tools', 'labels']);

/** Gemini generateContent (spec/llm-protocols 6.4). The path names the model, so its bodies pass as they are. */
export const gemini: Protocol = {
  name: geminiProtocol,
  operation: 'chat',
  maxEventBytes: 12 * 1024 * 1024,
  requestHeaders: ['x-goog-api-client'],
  requestIdHeader: 'x-request-id',
  renderError: geminiErrors,
  renderStreamError: geminiErrorEvent,
  readRequest: (body, path) => readPathRequest(body, path, content),
  writeRequest: request => request.body,
  readAnswer(bytes) {
    const body = parseObject(bytes);
    if (body === undefined) return { type: 'malformed' };
    if (body.error) return { type: 'error', codes: readErrorCodes(body) };
    const reader = new GeminiStreamReader();
    reader.readChunk(body);
    return { type: 'answer', facts: reader.facts };
  },
  readErrorCodes: body => readErrorCodes(parseErrorBody(body)),
  readRetryAfterMs: body => readRetryDelay(parseErrorBody(body)),
  openReader: () => new GeminiStreamReader(),
  codec: geminiCodec,
  counting: {
    members: new Set([
      'contents',
      'systemInstruction',
      'tools',
      'toolConfig',
      'generationConfig',
      'cachedContent',
    ]),
    // Beside bare `contents` the API takes nothing else of a request.
    wrap: (kept, model) => ({ generateContentRequest: { model: `models/${model}`, ...kept } }),
    read: body => asNumber(body.totalTokens),
    render: totalTokens => ({ totalTokens }),
  },
};
