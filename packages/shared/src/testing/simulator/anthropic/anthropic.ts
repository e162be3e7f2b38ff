import { ApiError, checkKey, headerOf, jsonReply, type Protocol } from '../http/protocol.ts';
import { errorBody } from './errors.ts';
import { anthropicHeaders } from './headers.ts';
import { countMessageTokens, createMessage } from './messages.ts';
import { describeModel, listModels } from './models.ts';

/** Anthropic's API as `@anthropic-ai/sdk` 1.9 speaks it, at `/anthropic`. */
export const anthropic: Protocol = {
  name: 'anthropic',
  base: '/anthropic',
  operations: [
    { name: 'messages', method: 'POST', pattern: /^\/v1\/messages$/, handle: createMessage },
    {
      name: 'count-tokens',
      method: 'POST',
      pattern: /^\/v1\/messages\/count_tokens$/,
      handle: countMessageTokens,
    },
    { name: 'models', method: 'GET', pattern: /^\/v1\/models$/, handle: listModels },
    { name: 'model', method: 'GET', pattern: /^\/v1\/models\/([^/]+)$/, handle: describeModel },
  ],
  authenticate: (request, accepted) => {
    const bearer = /^Bearer\s+(\S+)$/i.exec(headerOf(request.headers, 'authorization') ?? '')?.[1];
    checkKey(headerOf(request.headers, 'x-api-key') ?? bearer, accepted, {
      missing: () => new ApiError(401, 'x-api-key header is required'),
      wrong: () => new ApiError(401, 'invalid x-api-key'),
    });
    if (headerOf(request.headers, 'anthropic-version') === undefined)
      throw new ApiError(400, 'anthropic-version: header is required');
  },
  unknownPath: () => new ApiError(404, 'Not Found'),
  renderError: (error, desk) => {
    const headers = anthropicHeaders(desk);
    return jsonReply(
      { ...errorBody(error), request_id: headers['request-id'] },
      {
        ...headers,
        ...(error.retryAfter === undefined ? {} : { 'retry-after': error.retryAfter }),
      },
      { status: error.status },
    );
  },
};
