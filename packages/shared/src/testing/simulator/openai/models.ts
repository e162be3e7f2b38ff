import type { Model } from 'openai/resources/models';
import { type ApiRequest, type Desk, jsonReply, type ModelEntry, type WholeReply } from '../http/protocol.ts';
import { openaiHeaders } from './headers.ts';
import { modelOf } from './parse.ts';

export function listModels(_request: ApiRequest, desk: Desk): WholeReply {
  return jsonReply({ object: 'list', data: desk.listModels().map(describe) }, openaiHeaders(desk));
}

export function describeModel(request: ApiRequest, desk: Desk): WholeReply {
  const name = request.captured[0] ?? '';
  const model = desk.model(name) ?? modelOf(name, desk, 'chat');
  return jsonReply(describe(model), openaiHeaders(desk));
}

function describe(model: ModelEntry): Model {
  return { id: model.id, object: 'model', created: 1_735_689_600, owned_by: 'system' };
}
