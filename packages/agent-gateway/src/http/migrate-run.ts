import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { RunSummary } from '../domain/journal.ts';
import { type Divergence, findDivergence } from '../domain/migrate.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import type { Definition } from '../dsl/definitions.ts';
import { awaitRecords } from '../pipeline/await-run.ts';
import { loadWorkflow } from '../pipeline/load-workflow.ts';
import { readRecords } from '../pipeline/read-records.ts';
import type { ApiDeps } from './api-deps.ts';
import type { Asked } from './asked.ts';
import { checkFields, readSource } from './read-body.ts';
import { definitionFields, readDefinition } from './submission.ts';

export const migrateQuery = z.strictObject({ dryRun: z.enum(['', 'true', 'false']).default('false') });

export const migrateBody = z
  .strictObject(definitionFields)
  .refine(body => (body.definition === undefined) !== (body.workflow === undefined), {
    message: 'expected either `definition` or `workflow`',
  });

/** How long an answer waits for the run to be moved. */
const answerWaitMs = 5000;

/**
 * `POST /v1/runs/{id}:migrate`: the run goes on under another version of its definition. With `?dryRun` only what would become of it is
 * said.
 *
 * @throws GatewayError conflict (`run_has_ended`, `definition_diverges`), invalid_request (`workflow_name_mismatch`).
 */
export async function migrateRun(
  request: FastifyRequest,
  run: RunSummary,
  deps: ApiDeps & {
    readonly ask: (run: RunSummary, asked: Asked) => Promise<void>;
    readonly answer: (run: RunSummary) => Promise<FastifyReply>;
  },
): Promise<unknown> {
  const { dryRun } = checkFields(request.query, migrateQuery);
  const source = readSource(request);
  const { workflow: to, document } = await readDefinition(
    request,
    source,
    checkFields(source.value, migrateBody),
    deps,
  );
  requireSameWorkflow(run, to);
  if (terminalStatuses.has(run.status))
    throw new GatewayError('conflict', `The run has ended; it is ${run.status}.`, {
      reason: 'run_has_ended',
    });
  const divergence = await divergenceOf(run, to, deps);
  if (dryRun !== 'false') {
    const verdict = divergence === undefined ? { possible: true } : { possible: false, divergence };
    return { run: run.id, from: run.version, to: to.version, definition: to.hash, ...verdict };
  }
  if (divergence !== undefined) throw diverges(divergence);
  if (run.definition === to.hash) return deps.answer(run);
  await deps.journal.putDefinition({ hash: to.hash, document }, deps.clock.now());
  await deps.ask(run, { kind: 'migrate', payload: { definition: to.hash } });
  const moved = await awaitMove(request, run, to.hash, deps);
  if (moved.definition === to.hash || terminalStatuses.has(moved.status)) return deps.answer(moved);
  const late = await divergenceOf(moved, to, deps);
  if (late !== undefined) throw diverges(late);
  return deps.answer(moved);
}

async function divergenceOf(
  run: RunSummary,
  to: Definition['workflow'],
  deps: ApiDeps,
): Promise<Divergence | undefined> {
  const from = await loadWorkflow(run.definition, deps);
  return findDivergence(await readRecords(run.id, deps.journal), { from, to });
}

async function awaitMove(
  request: FastifyRequest,
  run: RunSummary,
  definition: string,
  { journal, clock }: ApiDeps,
): Promise<RunSummary> {
  const untilMs = clock.monotonic() + answerWaitMs;
  for (let current = run; ; ) {
    const leftMs = untilMs - clock.monotonic();
    const isDecided = async () =>
      current.definition === definition ||
      terminalStatuses.has(current.status) ||
      !(await journal.requests(run.id)).some(({ kind }) => kind === 'migrate');
    if (leftMs <= 0 || request.gone.aborted || (await isDecided()))
      return (await journal.getRun(run.tenant, run.id)) ?? current;
    const news = awaitRecords(run.id, { journal, clock, signal: request.gone, maxMs: leftMs });
    current = (await journal.getRun(run.tenant, run.id)) ?? current;
    if (!(await isDecided())) await news.heard;
    news.close();
    current = (await journal.getRun(run.tenant, run.id)) ?? current;
  }
}

function requireSameWorkflow(run: RunSummary, to: Definition['workflow']): void {
  if (run.namespace === to.namespace && run.name === to.name) return;
  const [is, wanted] = [`${run.namespace}/${run.name}`, `${to.namespace}/${to.name}`];
  throw new GatewayError('invalid_request', `The run is one of '${is}', the definition one of '${wanted}'.`, {
    reason: 'workflow_name_mismatch',
    param: 'definition',
  });
}

function diverges(divergence: Divergence): GatewayError {
  const { task, detail } = divergence;
  return new GatewayError(
    'conflict',
    `The run has come another way than that definition would have: ${task || 'the document'}. ${detail}`,
    { reason: 'definition_diverges', details: { divergence } },
  );
}
