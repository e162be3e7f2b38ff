import {
  ApiError,
  type ApiRequest,
  type Desk,
  jsonReply,
  type ModelEntry,
  type WholeReply,
} from '../http/protocol.ts';

/** `GET /v1beta/models`, all on one page. */
export function listModels(_request: ApiRequest, desk: Desk): WholeReply {
  return jsonReply({ models: desk.listModels().map(describe) }, {});
}

export function describeModel(request: ApiRequest, desk: Desk): WholeReply {
  return jsonReply(describe(modelOf(request, desk)), {});
}

/** The model that the path names. @throws ApiError 404. */
export function modelOf(request: ApiRequest, desk: Desk): ModelEntry {
  const name = request.captured[0] ?? '';
  const model = desk.model(name);
  if (model) return model;
  throw new ApiError(
    404,
    `models/${name} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.`,
  );
}

/** Whether calls have ids, and come back only with the signature they were given. */
export function signsCalls(model: ModelEntry): boolean {
  return model.id.startsWith('gemini-3');
}

function describe(model: ModelEntry) {
  return {
    name: `models/${model.id}`,
    version: '001',
    displayName: model.id,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: ['generateContent', 'countTokens'],
    thinking: model.reasoning !== 'none',
  };
}
