import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BatchLines, type FindBatchTarget } from '../domain/batch-requests.ts';
import { type Form, formBody, formOf, formText } from '../domain/form.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import { type ObjectFacts, type ProviderObject, unknownObject } from '../domain/provider-object.ts';
import type { OpenSpool } from '../domain/spool.ts';
import { openaiBatches } from '../pipeline/batch-apis.ts';
import { contentHeaders } from '../pipeline/provider-api.ts';
import type { ProviderObjects } from '../pipeline/provider-objects.ts';
import type { BatchSettler } from '../pipeline/settle-batches.ts';
import { asString } from '../protocols/read-json.ts';
import { type FileDialect, fileDialectOf } from './file-dialects.ts';
import { findFiles } from './find-files.ts';
import type { Query } from './object-lists.ts';

export interface FilesEndpointsDeps {
  readonly objects: ProviderObjects;
  readonly settler: BatchSettler;
  readonly clock: { now(): number };
  readonly openSpool: OpenSpool;
  /** Where files go that name no model. */
  filesProvider(): string | undefined;
}

export const filesPath = '/v1/files';
const base = filesPath;
// Without a shape of errors: who asks decides.
const options = { config: { access: 'caller' } } as const;

/** Files of OpenAI and of Anthropic: each lies at one provider and belongs to who uploaded it. */
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
    const dialect = fileDialectOf(request);
    const query = request.query as Query; // Fastify parses it into an object
    const page = dialect.page(query);
    const purpose = asString(query.purpose);
    const files = await findFiles(objects.store, ownerOf(request.caller), {
      page,
      isWanted: file => dialect.keeps(file) && (purpose === undefined || file.object.purpose === purpose),
    });
    return dialect.list(files, page.limit);
  });
  app.get(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const { dialect, file } = await findFile(objects, request);
    return (await objects.refresh(file, dialect.protocol, asking(dialect, request))).object;
  });
  app.delete(`${base}/:id`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const { dialect, file } = await findFile(objects, request);
    const asked = { ...asking(dialect, request), method: 'DELETE', suffix: `/${file.id}` } as const;
    const answer = await objects.ask(file, dialect.protocol, asked);
    await objects.store.remove(file.owner, 'file', file.id);
    return answer;
  });
  app.get(`${base}/:id/content`, options, async (request, reply) => {
    reply.headers(await objects.admit(request.caller));
    const { dialect, file } = await findFile(objects, request);
    // Whoever reads results has paid for them.
    const { batchId } = file.facts;
    const batch = batchId === undefined ? undefined : await objects.store.find(file.owner, 'batch', batchId);
    if (batch !== undefined) await settler.settle(openaiBatches, batch);
    const asked = { ...asking(dialect, request), method: 'GET', suffix: `/${file.id}/content` } as const;
    const content = await objects.open(file, dialect.protocol, asked);
    return reply.headers(contentHeaders(content)).send(content.body);
  });
}

async function findFile(
  objects: ProviderObjects,
  request: FastifyRequest,
): Promise<{ dialect: FileDialect; file: ProviderObject }> {
  const dialect = fileDialectOf(request);
  const { id } = request.params as { id: string }; // of these very paths
  const file = await objects.require(ownerOf(request.caller), 'file', id);
  if (!dialect.keeps(file)) throw unknownObject('file', id);
  return { dialect, file };
}

function asking(dialect: FileDialect, request: FastifyRequest) {
  return { headers: dialect.headers(request), signal: request.gone };
}

async function upload(
  { objects, clock, filesProvider, openSpool }: FilesEndpointsDeps,
  request: FastifyRequest,
): Promise<JsonObject> {
  const { caller, headers } = request;
  const dialect = fileDialectOf(request);
  const form = formOf(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
  const isBatch = dialect.protocol === 'openai-files' && formText(form, 'purpose') === 'batch';
  const target = objects.targetFinder(caller, 'openai-batches');
  const lines = isBatch ? await withModels(form, { find: target.find, openSpool }) : undefined;
  const written = lines ?? { form, facts: {} };
  const provider = target.provider() ?? objects.fileProvider(caller, dialect.protocol, filesProvider());
  const [credential] = provider.credentials;
  const at = { provider: provider.name, credential: credential.id };
  const object = await objects
    .ask(at, dialect.protocol, {
      method: 'POST',
      suffix: '',
      headers: { ...dialect.headers(request), 'content-type': headers['content-type'] ?? '' },
      body: formBody(written.form, []),
      signal: request.gone,
    })
    .finally(() => lines?.form.spool.close());
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

/** The form with the provider's model in each line of its file. Its spool is the caller's to close. */
async function withModels(
  form: Form,
  { find, openSpool }: { find: FindBatchTarget; openSpool: OpenSpool },
): Promise<{ form: Form; facts: ObjectFacts }> {
  const [only, ...more] = form.fields.filter(field => field.isFile);
  if (only === undefined || more.length > 0) {
    throw new GatewayError('invalid_request', 'The form must have one file.', {
      reason: 'form_invalid',
      param: 'file',
    });
  }
  const lines = new BatchLines(find);
  const spool = openSpool();
  let end = 0;
  const append = async (line: Buffer) => {
    end += line.length;
    await spool.append(line);
  };
  try {
    for await (const chunk of form.spool.read(only.file)) {
      for (const line of lines.push(chunk)) await append(line);
    }
    const { bytes: last, targets, worstCaseNanoUsd, endpoint } = lines.end();
    await append(last);
    const fields = form.fields.map(field => (field === only ? { ...field, file: { start: 0, end } } : field));
    const models = targets.map(({ alias, model }) => ({ alias, model }));
    const worst = worstCaseNanoUsd === undefined ? {} : { worstCaseNanoUsd: String(worstCaseNanoUsd) };
    return {
      form: { ...form, fields, fileBytes: end, spool },
      facts: { models, ...worst, ...(endpoint !== undefined && { endpoint }) },
    };
  } catch (error) {
    await spool.close();
    throw error;
  }
}
