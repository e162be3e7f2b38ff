import { ApiError, checkKey, headerOf, jsonReply, type Protocol } from '../http/protocol.ts';
import { chat } from './chat.ts';
import { rerank } from './rerank.ts';

/** Cohere's API v2, at `/cohere`. */
export const cohere: Protocol = {
  name: 'cohere',
  base: '/cohere',
  operations: [
    { name: 'chat', method: 'POST', pattern: /^\/v2\/chat$/, handle: chat },
    { name: 'rerank', method: 'POST', pattern: /^\/v2\/rerank$/, handle: rerank },
  ],
  authenticate: (request, accepted) => {
    const key = /^Bearer\s+(\S+)$/i.exec(headerOf(request.headers, 'authorization') ?? '')?.[1];
    const refusal = () => new ApiError(401, 'invalid api token');
    checkKey(key, accepted, { missing: () => new ApiError(401, 'no api key supplied'), wrong: refusal });
  },
  unknownPath: () => new ApiError(404, 'page not found'),
  renderError: (error, desk) =>
    jsonReply(
      { id: desk.ids.next('', 36), message: error.message },
      error.retryAfter === undefined ? {} : { 'retry-after': error.retryAfter },
      { status: error.status },
    ),
};
