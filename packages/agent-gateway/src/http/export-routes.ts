import { defaultJsonLimits, parseJson } from '@strata/shared/json/parse-json.ts';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { runExportSchema } from '../domain/run-export.ts';
import { copyRun } from '../pipeline/export-run.ts';
import { importRun } from '../pipeline/import-run.ts';
import type { ApiDeps } from './api-deps.ts';
import { findRun } from './find-run.ts';
import { checkFields } from './read-body.ts';
import { showSummary } from './run-view.ts';

const caller = { config: { access: 'caller' } } as const;
/** A run of ten thousand tasks has half a million. */
const maxExportNodes = 10_000_000;
export const exportQuery = z.strictObject({ redact: z.enum(['true', 'false']).default('false') });

/** `GET /v1/runs/{id}/export`, a copy to be read, and `POST /v1/runs:import`, which takes in what `:export` moved. */
export function addExportRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Params: { id: string } }>('/v1/runs/:id/export', caller, async request => {
    const { redact } = checkFields(request.query, exportQuery);
    const run = await findRun(request.caller, request.params.id, deps.journal);
    return copyRun(run, redact === 'true', deps);
  });

  app.post('/v1/runs::import', { ...caller, bodyLimit: deps.maxExportBytes }, async (request, reply) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const limits = { ...defaultJsonLimits, maxBytes: deps.maxExportBytes, maxNodes: maxExportNodes };
    const bundle = checkFields(parseJson(body, limits), runExportSchema);
    const { definitions } = deps;
    const { isNew, run } = await importRun(
      bundle,
      { caller: request.caller, trace: request.traceContext },
      {
        ...deps,
        readDefinition: async document => {
          const value: unknown = JSON.parse(document);
          return (await definitions.read({ value, lineOf: () => undefined })).workflow;
        },
      },
    );
    if (!isNew) void reply.header('idempotency-replayed', 'true');
    const details = { digest: bundle.digest };
    await deps.recordChange(request, { action: 'run.import', id: run.id, runId: run.id, details });
    return reply
      .code(isNew ? 201 : 200)
      .header('location', `/v1/runs/${run.id}`)
      .send(showSummary(run));
  });
}
