import {
  ApiError,
  type ApiRequest,
  type Desk,
  jsonReply,
  type ModelEntry,
  type WholeReply,
} from '../http/protocol.ts';
import { anthropicHeaders } from './headers.ts';

/** `GET /v1/models`, all on one page. */
export function listModels(_request: ApiRequest, desk: Desk): WholeReply {
  const data = desk.listModels().map(describe);
  const page = { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return jsonReply(page, anthropicHeaders(desk));
}

export function describeModel(request: ApiRequest, desk: Desk): WholeReply {
  return jsonReply(describe(modelOf(request.captured[0] ?? '', desk)), anthropicHeaders(desk));
}

/** @throws ApiError 404. */
export function modelOf(name: string, desk: Desk): ModelEntry {
  const model = desk.model(name);
  if (!model) throw new ApiError(404, `model: ${name}`);
  return model;
}

function describe(model: ModelEntry) {
  return {
    type: 'model',
    id: model.id,
    display_name: model.id.replaceAll('-', ' '),
    created_at: '2025-10-01T00:00:00Z',
    lifecycle: 'active',
    max_input_tokens: 200_000,
    max_tokens: model.maxOutputTokens,
  };
}
