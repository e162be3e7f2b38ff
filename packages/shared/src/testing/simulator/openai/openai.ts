import { ApiError, checkKey, headerOf, jsonReply, type Protocol, type WholeReply } from '../http/protocol.ts';
import { createChatCompletion } from './chat.ts';
import { createEmbeddings } from './embeddings.ts';
import { errorBody } from './errors.ts';
import { openaiHeaders } from './headers.ts';
import { describeModel, listModels } from './models.ts';
import { createResponse, deleteResponse, listInputItems, readResponse } from './responses.ts';

/** OpenAI's API as the `openai` package 7.57 speaks it, at `/openai/v1`. */
export const openai: Protocol = {
  name: 'openai',
  base: '/openai',
  operations: [
    { name: 'chat', method: 'POST', pattern: /^\/v1\/chat\/completions$/, handle: createChatCompletion },
    { name: 'responses', method: 'POST', pattern: /^\/v1\/responses$/, handle: createResponse },
    { name: 'response', method: 'GET', pattern: /^\/v1\/responses\/([^/]+)$/, handle: readResponse },
    {
      name: 'input-items',
      method: 'GET',
      pattern: /^\/v1\/responses\/([^/]+)\/input_items$/,
      handle: listInputItems,
    },
    {
      name: 'delete-response',
      method: 'DELETE',
      pattern: /^\/v1\/responses\/([^/]+)$/,
      handle: deleteResponse,
    },
    { name: 'embeddings', method: 'POST', pattern: /^\/v1\/embeddings$/, handle: createEmbeddings },
    { name: 'models', method: 'GET', pattern: /^\/v1\/models$/, handle: listModels },
    { name: 'model', method: 'GET', pattern: /^\/v1\/models\/([^/]+)$/, handle: describeModel },
  ],
  authenticate: (request, accepted) => {
    const key = /^Bearer\s+(\S+)$/i.exec(headerOf(request.headers, 'authorization') ?? '')?.[1];
    checkKey(key, accepted, {
      missing: () =>
        new ApiError(
          401,
          "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        ),
      wrong: wrong =>
        new ApiError(401, `Incorrect API key provided: ${masked(wrong)}.`, { code: 'invalid_api_key' }),
    });
  },
  unknownPath: request => new ApiError(404, `Invalid URL (${request.method} ${request.path})`),
  renderError: (error, desk): WholeReply =>
    jsonReply(
      { error: errorBody(error) },
      {
        ...openaiHeaders(desk),
        ...(error.retryAfter === undefined ? {} : { 'retry-after': error.retryAfter }),
      },
      { status: error.status },
    ),
};

function masked(key: string): string {
  return key.length <= 8 ? '*'.repeat(key.length) : `${key.slice(0, 4)}****${key.slice(-4)}`;
}
