import { ApiError, type ApiRequest, checkKey, headerOf, jsonReply, type Protocol } from '../http/protocol.ts';
import { errorBody } from './errors.ts';
import { countContentTokens, generateContent, streamGenerateContent } from './generate.ts';
import { describeModel, listModels } from './models.ts';

/** `/v1beta/models/x`, or Vertex's longer way to the same. */
const models =
  '^\\/v1(?:alpha|beta)?\\d*\\/(?:projects\\/[^/]+\\/locations\\/[^/]+\\/publishers\\/google\\/)?models';
const method = (name: string) => new RegExp(`${models}\\/([^/:]+):${name}$`);

/** Gemini's API as `@google/genai` 3.1 speaks it, at `/gemini`. */
export const gemini: Protocol = {
  name: 'gemini',
  base: '/gemini',
  operations: [
    { name: 'generate', method: 'POST', pattern: method('generateContent'), handle: generateContent },
    {
      name: 'stream',
      method: 'POST',
      pattern: method('streamGenerateContent'),
      handle: streamGenerateContent,
    },
    { name: 'count-tokens', method: 'POST', pattern: method('countTokens'), handle: countContentTokens },
    { name: 'models', method: 'GET', pattern: new RegExp(`${models}$`), handle: listModels },
    { name: 'model', method: 'GET', pattern: new RegExp(`${models}\\/([^/:]+)$`), handle: describeModel },
  ],
  authenticate: (request, accepted) => {
    checkKey(keyOf(request), accepted, {
      missing: () =>
        new ApiError(
          403,
          "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
        ),
      wrong: () =>
        new ApiError(400, 'API key not valid. Please pass a valid API key.', { code: 'API_KEY_INVALID' }),
    });
  },
  unknownPath: () => new ApiError(404, 'The requested URL was not found on this server.'),
  renderError: error =>
    jsonReply(errorBody(error), error.retryAfter === undefined ? {} : { 'retry-after': error.retryAfter }, {
      status: error.status,
    }),
};

function keyOf(request: ApiRequest): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(headerOf(request.headers, 'authorization') ?? '')?.[1];
  return headerOf(request.headers, 'x-goog-api-key') ?? request.query.get('key') ?? bearer;
}
