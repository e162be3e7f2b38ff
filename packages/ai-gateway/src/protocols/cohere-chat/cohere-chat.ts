import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import { errorHeaders } from '@strata/shared/errors/error-renderer.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { setMember } from '../../domain/json-splice.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readCommonRequest } from '../read-request.ts';
import { cohereCodec } from './codec.ts';
import { cohereProtocol } from './decode-request.ts';
import { cohereErrorEvent } from './encode-answer.ts';
import { readErrorCodes } from './errors.ts';
import { CohereStreamReader } from './stream-reader.ts';
import { readCohereUsage } from './usage.ts';

/** Members with the caller's own data. */
const content = new Set(['messages', 'tools', 'documents', 'response_format']);

/** `{ message }`, as the SDK reads it. */
export const cohereErrors: ErrorRenderer = (error, { requestId }) => ({
  status: error.status,
  headers: errorHeaders(error, 'application/json'),
  body: JSON.stringify({ id: requestId, message: error.publicMessage, code: error.reason }),
});

/** Cohere Chat v2. https://docs.cohere.com/reference/chat */
export const cohereChat: Protocol = {
  name: cohereProtocol,
  operation: 'chat',
  requestHeaders: ['x-client-name'],
  requestIdHeader: 'x-request-id',
  renderError: cohereErrors,
  renderStreamError: cohereErrorEvent,
  readRequest: body => ({ ...readCommonRequest(body, content), wantsStreamUsage: true }),
  writeRequest: (request, change) =>
    splice(request.body, setMember(request.scanned, 'model', JSON.stringify(change.model))),
  readAnswer(bytes) {
    const body = parseObject(bytes);
    if (body === undefined) return { type: 'malformed' };
    if (body.finish_reason === undefined) return { type: 'error', codes: readErrorCodes(body) };
    const usage = asObject(body.usage);
    const report = usage && readCohereUsage(usage);
    return {
      type: 'answer',
      facts: { model: undefined, finishReason: asString(body.finish_reason), report },
    };
  },
  readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
  openReader: () => new CohereStreamReader(),
  codec: cohereCodec,
};
