import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { JsonObject } from '../domain/json-object.ts';
import type { ResponseStore, StoredResponse } from '../domain/stored-response.ts';
import { openaiResponses } from '../protocols/openai-responses/openai-responses.ts';
import { addCountEndpoint, type CountEndpointDeps } from './count-endpoint.ts';
import { type KeepDeps, keepAnswer, ownerOf, withHistory } from './keep-responses.ts';
import { addModelEndpoint, type ModelEndpointDeps } from './model-endpoint.ts';

const base = '/v1/responses';

/** Responses: create, and everything about an answer that was kept. */
export function addResponsesEndpoints(
  app: FastifyInstance,
  deps: ModelEndpointDeps &
    CountEndpointDeps &
    KeepDeps & { beforeReading(body: Buffer, caller: Caller): Promise<Buffer> },
): void {
  const prepare = async (body: Buffer, caller: Caller) =>
    withHistory(deps.store, ownerOf(caller), await deps.beforeReading(body, caller));
  addModelEndpoint(
    app,
    {
      path: base,
      protocol: openaiResponses,
      prepare,
      complete: (call, answer) => keepAnswer(deps, call, answer),
    },
    deps,
  );
  addCountEndpoint(app, { path: `${base}/input_tokens`, protocol: openaiResponses, prepare }, deps);
  addStoredEndpoints(app, deps.store);
}

function addStoredEndpoints(app: FastifyInstance, store: ResponseStore): void {
  const options = { config: { access: 'caller', errors: openaiErrors } } as const;
  app.get(`${base}/:id`, options, async request => (await find(store, request)).response);
  app.delete(`${base}/:id`, options, async request => {
    const id = idOf(request);
    if (!(await store.remove(ownerOf(request.caller), id))) throw unknownResponse(id);
    return { id, object: 'response', deleted: true };
  });
  app.get(`${base}/:id/input_items`, options, async request => {
    const { input } = await find(store, request);
    return pageOf(input, request.query as Readonly<Record<string, unknown>>); // Fastify parses it into an object
  });
  app.post(`${base}/:id/cancel`, options, async request => {
    await find(store, request);
    throw new GatewayError('invalid_request', 'Only an answer in the background can be cancelled.', {
      reason: 'response_not_cancellable',
    });
  });
}

function idOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id; // the parameter of these very paths
}

async function find(store: ResponseStore, request: FastifyRequest): Promise<StoredResponse> {
  const id = idOf(request);
  const stored = await store.find(ownerOf(request.caller), id);
  if (stored === undefined) throw unknownResponse(id);
  return stored;
}

function unknownResponse(id: string): GatewayError {
  return new GatewayError('not_found', `There is no response '${id.slice(0, 200)}' for this key.`, {
    reason: 'response_not_found',
  });
}

const defaultLimit = 20;
const maxLimit = 100;

/** A page of the API's lists: `order`, `limit`, `after`. */
function pageOf(input: readonly JsonObject[], query: Readonly<Record<string, unknown>>): object {
  const named = input.map((item, index) => ({ id: `item_${index}`, ...item }));
  const ordered = query.order === 'asc' ? named : named.toReversed();
  const after = ordered.findIndex(item => item.id === query.after);
  const asked = Number(query.limit ?? defaultLimit);
  const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, maxLimit) : defaultLimit;
  const data = ordered.slice(after + 1, after + 1 + limit);
  return {
    object: 'list',
    data,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: after + 1 + limit < ordered.length,
  };
}
