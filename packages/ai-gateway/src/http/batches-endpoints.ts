import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { JsonObject } from '../domain/json-object.ts';
import { notAnId } from '../domain/not-an-id.ts';
import { ownerOf } from '../domain/owner.ts';
import type { ProviderObject } from '../domain/provider-object.ts';
import { openaiBatches as api } from '../pipeline/batch-apis.ts';
import type { ProviderObjects } from '../pipeline/provider-objects.ts';
import { asString, parseObject } from '../protocols/read-json.ts';
import type { FilesEndpointsDeps } from './files-endpoints.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

const base = '/v1/batches';
const options = { config: { access: 'caller', errors: openaiErrors } } as const;

export interface BatchesEndpointsDeps extends FilesEndpointsDeps {
  readonly log: { warn(fields: object, message: string): void };
}

/** OpenAI's batches: begun from a file of the same owner, at the provider where it lies. */
export function addBatchesEndpoints(app: FastifyInstance, deps: BatchesEndpointsDeps): void {
  const { objects } = deps;
  app.post(base, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    return create(deps, request);
  });
  app.get(base, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const query = request.query as Query; // Fastify parses it into an object
    const page = pageOf(query, { defaultLimit: 20, maxLimit: 100, after: query.after });
    const found = await objects.store.list(ownerOf(request.caller), 'batch', {
      ...page,
      limit: page.limit + 1,
    });
    const seen = await Promise.all(found.map(batch => latest(deps, batch, request.gone)));
    return listOf(seen, page.limit);
  });
  app.get(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    return look(deps, await findBatch(objects, request), request.gone);
  });
  app.post(`${base}/:id/cancel`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const batch = await findBatch(objects, request);
    const suffix = `/${batch.id}/cancel`;
    const object = await objects.ask(batch, api.protocol, { method: 'POST', suffix, signal: request.gone });
    return seenNow(deps, { ...batch, object }, request.gone);
  });
}

function findBatch(objects: ProviderObjects, request: FastifyRequest): Promise<ProviderObject> {
  const { id } = request.params as { id: string }; // of these very paths
  return objects.require(ownerOf(request.caller), 'batch', id);
}

async function create(deps: BatchesEndpointsDeps, request: FastifyRequest): Promise<JsonObject> {
  const { objects, settler } = deps;
  const { caller } = request;
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const asked = parseObject(body);
  const fileId = asString(asked?.input_file_id);
  if (fileId === undefined) throw notAnId('input_file_id', 'file');
  const input = await objects.require(ownerOf(caller), 'file', fileId);
  const { models, worstCaseNanoUsd, endpoint } = input.facts;
  if (models === undefined) throw notForBatches(fileId);
  if (endpoint !== undefined && asked?.endpoint !== endpoint) throw isFor(endpoint);
  requireModels(
    objects,
    request,
    models.map(each => each.alias),
  );
  const worst = worstCaseNanoUsd === undefined ? undefined : BigInt(worstCaseNanoUsd);
  const at = { provider: input.provider, credential: input.credential };
  const batch = { api, caller, at, models, worstCaseNanoUsd: worst, mark: { input_file_id: fileId } };
  return settler.begin(batch, () =>
    objects.ask(input, api.protocol, { method: 'POST', suffix: '', body, signal: request.gone }),
  );
}

/** A file that was uploaded when the key still might use its model is no way around that. */
function requireModels(objects: ProviderObjects, request: FastifyRequest, aliases: readonly string[]): void {
  const target = objects.targetFinder(request.caller, api.protocol);
  for (const alias of aliases) target.find(alias);
}

/** What is over does not change any more. */
async function latest(
  deps: BatchesEndpointsDeps,
  batch: ProviderObject,
  signal: AbortSignal,
): Promise<JsonObject> {
  return api.hasEnded(batch.object) ? batch.object : look(deps, batch, signal);
}

async function look(
  deps: BatchesEndpointsDeps,
  batch: ProviderObject,
  signal: AbortSignal,
): Promise<JsonObject> {
  const object = await deps.objects.ask(batch, api.protocol, {
    method: 'GET',
    suffix: `/${batch.id}`,
    signal,
  });
  return seenNow(deps, { ...batch, object }, signal);
}

/** Keeps what was seen; the files that the batch has written belong to its owner; what it cost is booked beside the answer. */
async function seenNow(
  deps: BatchesEndpointsDeps,
  batch: ProviderObject,
  signal: AbortSignal,
): Promise<JsonObject> {
  const { objects, settler, log } = deps;
  await objects.store.save(batch);
  const { object } = batch;
  for (const id of [asString(object.output_file_id), asString(object.error_file_id)]) {
    if (id !== undefined) await claimFile(deps, { batch, id, signal });
  }
  settler
    .settle(api, batch)
    .catch((error: unknown) => log.warn({ err: error, batch: batch.id }, 'a batch could not be booked yet'));
  return object;
}

async function claimFile(
  { objects, clock }: BatchesEndpointsDeps,
  { batch, id, signal }: { batch: ProviderObject; id: string; signal: AbortSignal },
): Promise<void> {
  const { owner, provider, credential } = batch;
  if ((await objects.store.find(owner, 'file', id)) !== undefined) return;
  const object = await objects.ask(batch, 'openai-files', { method: 'GET', suffix: `/${id}`, signal });
  const facts = { batchId: batch.id };
  await objects.store.save({
    owner,
    kind: 'file',
    id,
    provider,
    credential,
    createdAtMs: clock.now(),
    isSettled: true,
    object,
    facts,
  });
}

function isFor(endpoint: string): GatewayError {
  return new GatewayError('invalid_request', `The lines of the file are for '${endpoint}'.`, {
    reason: 'batch_input_invalid',
    param: 'endpoint',
  });
}

function notForBatches(id: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The file '${id.slice(0, 200)}' was not uploaded with the purpose \`batch\`.`,
    {
      reason: 'batch_input_invalid',
      param: 'input_file_id',
    },
  );
}
