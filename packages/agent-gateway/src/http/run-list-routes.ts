import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { RunFilter } from '../domain/journal.ts';
import { runStatuses } from '../domain/run-state.ts';
import type { ApiDeps } from './api-deps.ts';
import { maySee } from './find-run.ts';
import { checkFields } from './read-body.ts';
import { showSummary } from './run-view.ts';

const text = z.string().min(1).max(1000);
const workflowPattern = /^([^/@]{1,200})\/([^/@]{1,200})(?:@(\S{1,200}))?$/;

export const runListQuery = z.strictObject({
  status: z.enum(runStatuses).optional(),
  key: text.optional().describe('Its concurrency key.'),
  idempotency_key: text.optional().describe('The key that it was submitted under: one run, or none.'),
  workflow: z.string().regex(workflowPattern, 'expected namespace/name or namespace/name@version').optional(),
  principal: text.optional().describe('Who it acts for.'),
  cursor: z
    .string()
    .regex(/^run_[0-9a-z]{26}$/, 'expected the cursor of a page')
    .optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** `GET /v1/runs`: the newest first, narrowed by what is asked for. */
export function addRunListRoute(app: FastifyInstance, { journal }: ApiDeps): void {
  app.get('/v1/runs', { config: { access: 'caller' } }, async request => {
    const filter = readFilter(request);
    const page = await journal.listRuns(filter);
    const next = page.length === filter.limit ? page.at(-1)?.id : undefined;
    const runs = page.filter(run => maySee(request.caller, run)).map(showSummary);
    return { runs, ...(next !== undefined && { next_cursor: next }) };
  });
}

function readFilter(request: FastifyRequest): RunFilter {
  const { key, idempotency_key, workflow, cursor, ...rest } = checkFields(request.query, runListQuery);
  const [, namespace, name, version] = workflowPattern.exec(workflow ?? '') ?? [];
  const of = { namespace, name, version, queue: key, idempotencyKey: idempotency_key };
  return { tenant: request.caller.tenant, ...rest, ...of, before: cursor };
}
