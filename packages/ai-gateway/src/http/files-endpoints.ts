import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readBatchLines } from '../domain/batch-requests.ts';
import { type Form, formText, scanForm } from '../domain/form.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { splice } from '../domain/json-splice.ts';
import { ownerOf } from '../domain/owner.ts';
import type { ObjectFacts, ProviderObject } from '../domain/provider-object.ts';
import { openaiBatches } from '../pipeline/batch-apis.ts';
import { contentHeaders } from '../pipeline/provider-api.ts';
import { type ProviderObjects, unknownObject } from '../pipeline/provider-objects.ts';
import type { BatchSettler } from '../pipeline/settle-batches.ts';
import { asString } from '../protocols/read-json.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

export interface FilesEndpointsDeps {
  readonly objects: ProviderObjects;
  readonly settler: BatchSettler;
  readonly clock: { now(): number };
  /** Where files go that name no model. */
  filesProvider(): string | undefined;
}

const base = '/v1/files';
const protocol = 'openai-files';
const options = { config: { access: 'caller', errors: openaiErrors } } as const;

/** OpenAI's files: each lies at one provider and belongs to who uploaded it. */
export function addFilesEndpoints(app: FastifyInstance, deps: FilesEndpointsDeps): void {
  const { objects, settler } = deps;
  app.post(
    base,
    { config: { ...options.config, mediaTypes: ['multipart/form-data'] } },
    async (request, reply) => {
      reply.headers(await objects.admit(request.caller));
      return upload(deps, request);
    },
  );
  app.get(base, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const query = request.query as Query; // Fastify parses it into an object
    const page = pageOf(query, { defaultLimit: 10_000, maxLimit: 10_000, after: query.after });
    const found = await objects.store.list(ownerOf(request.caller), 'file', {
      ...page,
      limit: page.limit + 1,
    });
    const wanted = asString(query.purpose);
    const files = found
      .map(file => file.object)
      .filter(file => wanted === undefined || file.purpose === wanted);
    return listOf(files, page.limit);
  });
  app.get(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    return (await objects.refresh(await findFile(objects, request), protocol, request.gone)).object;
  });
  app.delete(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const file = await findFile(objects, request);
    const suffix = `/${file.id}`;
    const answer = await objects.ask(file, protocol, { method: 'DELETE', suffix, signal: request.gone });
    await objects.store.remove(file.owner, 'file', file.id);
    return answer;
  });
  app.get(`${base}/:id/content`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const file = await findFile(objects, request);
    // Whoever reads results has paid for them.
    const { batchId } = file.facts;
    const batch = batchId === undefined ? undefined : await objects.store.find(file.owner, 'batch', batchId);
    if (batch !== undefined) await settler.settle(openaiBatches, batch);
    const suffix = `/${file.id}/content`;
    const content = await objects.open(file, protocol, { method: 'GET', suffix, signal: request.gone });
    return reply.headers(contentHeaders(content)).send(content.body);
  });
}

function findFile(objects: ProviderObjects, request: FastifyRequest): Promise<ProviderObject> {
  const { id } = request.params as { id: string }; // of these very paths
  return objects.require(ownerOf(request.caller), 'file', id);
}

async function upload(
  { objects, clock, filesProvider }: FilesEndpointsDeps,
  request: FastifyRequest,
): Promise<JsonObject> {
  const { caller, headers } = request;
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const form = scanForm(body, headers['content-type']);
  const isBatch = formText(body, form, 'purpose') === 'batch';
  const target = objects.targetFinder(caller, 'openai-batches');
  const written = isBatch ? withModels(body, form, target.find) : { body, facts: {} };
  const provider = target.provider() ?? objects.fileProvider(caller, filesProvider());
  const [credential] = provider.credentials;
  const at = { provider: provider.name, credential: credential.id };
  const object = await objects.ask(at, protocol, {
    method: 'POST',
    suffix: '',
    headers: { 'content-type': headers['content-type'] ?? '' },
    body: written.body,
    signal: request.gone,
  });
  const id = asString(object.id);
  if (id === undefined) throw unknownObject('file', '');
  await objects.store.save({
    ...at,
    owner: ownerOf(caller),
    kind: 'file',
    id,
    createdAtMs: clock.now(),
    isSettled: true,
    object,
    facts: written.facts,
  });
  return object;
}

/** The form with the provider's model in each line of its file. */
function withModels(
  body: Buffer,
  form: Form,
  find: Parameters<typeof readBatchLines>[1],
): { body: Buffer; facts: ObjectFacts } {
  const file = form.fields.filter(field => field.isFile);
  const [only] = file;
  if (only === undefined || file.length > 1) {
    throw new GatewayError('invalid_request', 'The form must have one file.', {
      reason: 'form_invalid',
      param: 'file',
    });
  }
  const input = readBatchLines(body.subarray(only.value.start, only.value.end), find);
  return {
    body: splice(body, [{ ...only.value, text: input.bytes.toString('utf8') }]),
    facts: {
      models: input.targets.map(({ alias, model }) => ({ alias, model })),
      ...(input.worstCaseNanoUsd !== undefined && { worstCaseNanoUsd: String(input.worstCaseNanoUsd) }),
    },
  };
}
