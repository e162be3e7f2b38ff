import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import type { StoredWorkflow } from '../domain/journal.ts';
import { renderMermaid } from '../dsl/mermaid.ts';
import type { ScheduleDeps } from '../pipeline/run-schedules.ts';
import { requireRoom } from '../pipeline/schedule-room.ts';
import type { ApiDeps } from './api-deps.ts';
import { putScheduleOf, readScheduleOf, scheduleNameOf } from './document-schedule.ts';
import { maySee } from './find-run.ts';
import { nameCursor, readNameCursor } from './name-cursor.ts';
import { checkFields, definitionMediaTypes, readSource } from './read-body.ts';

const caller = { access: 'caller' } as const;

interface WithName {
  Params: { namespace: string; name: string; version: string };
}

export const workflowListQuery = z.strictObject({
  cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

const graphVerb = ':graph';
const mermaidType = 'text/vnd.mermaid; charset=utf-8';

/**
 * `/v1/workflows`: definitions under a name. A version is written once and never changes. `:validate` says what is wrong with a
 * document and stores nothing; `:graph` draws one.
 */
export function addWorkflowRoutes(app: FastifyInstance, deps: ApiDeps & ScheduleDeps): void {
  const { journal, definitions, clock } = deps;
  const path = '/v1/workflows/:namespace/:name/:version';

  app.put<WithName>(
    path,
    { config: { ...caller, mediaTypes: definitionMediaTypes } },
    async (request, reply) => {
      const { params } = request;
      requireWorkflowScope(request.caller, params);
      const { workflow, document } = await definitions.read(readSource(request));
      requireSameName(workflow, params);
      const recurrence = await readScheduleOf(JSON.parse(document), deps);
      if (recurrence !== undefined)
        await requireRoom({ tenant: request.caller.tenant, name: scheduleNameOf(params) }, deps);
      const { hash } = workflow;
      const createdAtMs = clock.now();
      const most = deps.maxWorkflows();
      const stored: StoredWorkflow = { ...params, definition: hash, createdAtMs };
      const [, outcome] = await Promise.all([
        journal.putDefinition({ hash, document }, createdAtMs),
        journal.putWorkflow(request.caller.tenant, stored, { most }),
      ]);
      if (outcome === 'conflict') {
        throw new GatewayError(
          'conflict',
          'This version has another definition already. Choose a new version.',
          {
            reason: 'workflow_version_exists',
          },
        );
      }
      if (outcome === 'full') {
        throw new GatewayError('conflict', `There are ${most} versions of workflows; there may be no more.`, {
          reason: 'too_many_workflows',
        });
      }
      const isNew = outcome === 'created';
      if (recurrence !== undefined)
        await putScheduleOf(recurrence, { request, workflow: params, isNew }, deps);
      const { namespace, name, version } = params;
      if (isNew)
        await deps.recordChange(request, {
          action: 'workflow.store',
          id: `${namespace}/${name}@${version}`,
          details: { definition: hash },
        });
      const found = (await journal.getWorkflow(request.caller.tenant, params)) ?? stored;
      return reply
        .code(outcome === 'created' ? 201 : 200)
        .header('etag', `"${hash}"`)
        .header('location', `/v1/workflows/${params.namespace}/${params.name}/${params.version}`)
        .send(show(found));
    },
  );

  for (const verb of ['validate', 'graph'] as const) {
    app.post(
      `/v1/workflows::${verb}`,
      { config: { ...caller, mediaTypes: definitionMediaTypes } },
      async (request, reply) => {
        const { workflow, document } = await definitions.read(readSource(request));
        if (verb === 'graph') return reply.type(mermaidType).send(renderMermaid(JSON.parse(document)));
        await readScheduleOf(JSON.parse(document), deps);
        const { namespace, name, version, hash: definition } = workflow;
        return { valid: true, namespace, name, version, definition, tasks: workflow.tasks.size - 1 };
      },
    );
  }

  app.get<WithName>(path, { config: caller }, async (request, reply) => {
    const wantsGraph = request.params.version.endsWith(graphVerb);
    const version = wantsGraph ? request.params.version.slice(0, -graphVerb.length) : request.params.version;
    const params = { ...request.params, version };
    const stored = await journal.getWorkflow(request.caller.tenant, params);
    const definition = stored && (await journal.getDefinition(stored.definition));
    if (stored === undefined || definition === undefined || !maySee(request.caller, params))
      throw workflowNotFound();
    void reply.header('etag', `"${stored.definition}"`);
    if (wantsGraph) return reply.type(mermaidType).send(renderMermaid(JSON.parse(definition.document)));
    return { ...show(stored), document: JSON.parse(definition.document) };
  });

  app.delete<WithName>(path, { config: caller }, async (request, reply) => {
    const { params } = request;
    const { tenant } = request.caller;
    const stored = await journal.getWorkflow(tenant, params);
    if (stored === undefined || !maySee(request.caller, params)) throw workflowNotFound();
    if ((await journal.deleteWorkflow(tenant, params)) === 'used') {
      throw new GatewayError('conflict', 'There are runs of this version; it stays as long as they do.', {
        reason: 'workflow_in_use',
      });
    }
    const { namespace, name, version } = params;
    const details = { definition: stored.definition };
    await deps.recordChange(request, {
      action: 'workflow.delete',
      id: `${namespace}/${name}@${version}`,
      details,
    });
    return reply.code(204).send();
  });

  app.get('/v1/workflows', { config: caller }, async request => {
    const { cursor, limit } = checkFields(request.query, workflowListQuery);
    const after = cursor === undefined ? undefined : readNameCursor(cursor);
    const page = await journal.listWorkflows(request.caller.tenant, { after, limit });
    const last = page.length === limit ? page.at(-1) : undefined;
    const next = last && nameCursor(last.namespace, last.name, last.version);
    const workflows = page.filter(each => maySee(request.caller, each)).map(show);
    return { workflows, ...(next !== undefined && { next_cursor: next }) };
  });
}

function workflowNotFound(): GatewayError {
  return new GatewayError('not_found', 'There is no such workflow.', { reason: 'workflow_not_found' });
}

function show({ namespace, name, version, definition, createdAtMs }: StoredWorkflow) {
  return { namespace, name, version, definition, created_at: new Date(createdAtMs).toISOString() };
}

function requireSameName(
  workflow: { namespace: string; name: string; version: string },
  params: { namespace: string; name: string; version: string },
): void {
  const keys = ['namespace', 'name', 'version'] as const;
  const errors = keys
    .filter(key => workflow[key] !== params[key])
    .map(key => ({
      pointer: `/document/${key}`,
      message: `The path says '${params[key]}', the document '${workflow[key]}'.`,
    }));
  if (errors.length === 0) return;
  throw new GatewayError('invalid_request', 'The document is not the one that the path names.', {
    reason: 'workflow_name_mismatch',
    details: { errors },
  });
}
