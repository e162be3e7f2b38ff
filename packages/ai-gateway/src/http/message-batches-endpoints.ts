import { anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readBatchBody } from '../domain/batch-requests.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import type { ProviderObject } from '../domain/provider-object.ts';
import { gone } from '../pipeline/batch-api.ts';
import { messageBatches as api } from '../pipeline/batch-apis.ts';
import { contentHeaders } from '../pipeline/provider-api.ts';
import type { ProviderObjects } from '../pipeline/provider-objects.ts';
import { asString } from '../protocols/read-json.ts';
import type { BatchesEndpointsDeps } from './batches-endpoints.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

const base = '/v1/messages/batches';
const options = { config: { access: 'caller', errors: anthropicErrors } } as const;

/** Anthropic's message batches: the requests stand in the body, the results are read where the gateway says. */
export function addMessageBatchesEndpoints(app: FastifyInstance, deps: BatchesEndpointsDeps): void {
  const { objects, settler } = deps;
  app.post(base, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    return shown(await create(deps, request));
  });
  app.get(base, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const query = request.query as Query; // Fastify parses it into an object
    const isBackwards = query.before_id !== undefined;
    const after = query.after_id ?? query.before_id;
    const page = pageOf(query, { defaultLimit: 20, maxLimit: 1000, after });
    const order = isBackwards ? 'asc' : 'desc';
    const found = await objects.store.list(ownerOf(request.caller), api.kind, {
      ...page,
      order,
      limit: page.limit + 1,
    });
    const seen = await Promise.all(found.map(batch => latest(deps, batch, request)));
    const { object: _object, data, ...rest } = listOf(seen.map(shown), page.limit) as Page;
    return { data: isBackwards ? data.toReversed() : data, ...rest };
  });
  app.get(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    return shown(await look(deps, await findBatch(objects, request), request));
  });
  app.post(`${base}/:id/cancel`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const batch = await findBatch(objects, request);
    const object = await objects.ask(batch, api.protocol, {
      ...asked(request),
      method: 'POST',
      suffix: `/${batch.id}/cancel`,
    });
    return shown(await seenNow(deps, { ...batch, object }));
  });
  app.delete(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const batch = await findBatch(objects, request);
    await settler.settle(api, batch); // afterwards nobody could say what it cost
    const answer = await objects.ask(batch, api.protocol, {
      ...asked(request),
      method: 'DELETE',
      suffix: `/${batch.id}`,
    });
    await objects.store.remove(batch.owner, api.kind, batch.id);
    return answer;
  });
  app.get(`${base}/:id/results`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const found = await findBatch(objects, request);
    const batch = api.hasEnded(found.object)
      ? found
      : await objects.refresh(found, api.protocol, { signal: request.gone });
    await settler.settle(api, batch); // whoever reads results has paid for them
    const content = await objects.open(batch, api.protocol, {
      ...asked(request),
      method: 'GET',
      suffix: `/${batch.id}/results`,
    });
    return reply.headers(contentHeaders(content)).send(content.body);
  });
}

interface Page {
  readonly object: string;
  readonly data: readonly object[];
}

/** The client's own version and betas mean something to the provider. */
function asked({ headers, gone: signal }: FastifyRequest) {
  const names = ['anthropic-version', 'anthropic-beta'] as const;
  const kept = names.flatMap(name => {
    const value = headers[name];
    return typeof value === 'string' ? [[name, value] as const] : [];
  });
  return { headers: Object.fromEntries(kept), signal };
}

/** The results are at the gateway, wherever the provider says they are: the SDK goes there with the caller's key. */
function shown(object: JsonObject): JsonObject {
  const id = asString(object.id);
  return typeof object.results_url === 'string'
    ? { ...object, results_url: `${base}/${id}/results` }
    : object;
}

function findBatch(objects: ProviderObjects, request: FastifyRequest): Promise<ProviderObject> {
  const { id } = request.params as { id: string }; // of these very paths
  return objects.require(ownerOf(request.caller), api.kind, id);
}

async function create(
  { objects, settler }: BatchesEndpointsDeps,
  request: FastifyRequest,
): Promise<JsonObject> {
  const { caller } = request;
  const written = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const target = objects.targetFinder(caller, api.protocol);
  const input = readBatchBody(written, target.find);
  const provider = target.provider();
  if (provider === undefined) throw gone('');
  const at = { provider: provider.name, credential: provider.credentials[0].id };
  const { worstCaseNanoUsd } = input;
  const models = input.targets.map(({ alias, model }) => ({ alias, model }));
  const batch = { api, caller, at, models, worstCaseNanoUsd, mark: { requests: input.count } };
  return settler.begin(batch, () =>
    objects.ask(at, api.protocol, { ...asked(request), method: 'POST', suffix: '', body: input.bytes }),
  );
}

async function latest(
  deps: BatchesEndpointsDeps,
  batch: ProviderObject,
  request: FastifyRequest,
): Promise<JsonObject> {
  return api.hasEnded(batch.object) ? batch.object : look(deps, batch, request);
}

async function look(
  deps: BatchesEndpointsDeps,
  batch: ProviderObject,
  request: FastifyRequest,
): Promise<JsonObject> {
  const object = await deps.objects.ask(batch, api.protocol, {
    ...asked(request),
    method: 'GET',
    suffix: `/${batch.id}`,
  });
  return seenNow(deps, { ...batch, object });
}

async function seenNow(
  { objects, settler, log }: BatchesEndpointsDeps,
  batch: ProviderObject,
): Promise<JsonObject> {
  await objects.store.save(batch);
  settler
    .settle(api, batch)
    .catch((error: unknown) => log.warn({ err: error, batch: batch.id }, 'a batch could not be booked yet'));
  return batch.object;
}
