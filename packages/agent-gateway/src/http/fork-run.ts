import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { RunSummary } from '../domain/journal.ts';
import { initialContext, replay } from '../domain/replay.ts';
import { planRewind } from '../domain/rewind.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';
import type { Workflow } from '../domain/workflow.ts';
import { readRecords } from '../pipeline/read-records.ts';
import type { Submission } from '../pipeline/submit-run.ts';
import type { ApiDeps } from './api-deps.ts';
import { checkFields, readSource } from './read-body.ts';
import { refusals } from './rewind-run.ts';
import { definitionFields, readDefinition, readKey } from './submission.ts';

export const forkBody = z
  .strictObject({
    task: z.string().max(1000),
    visit: z.int().min(1).optional(),
    ...definitionFields,
  })
  .refine(body => body.definition === undefined || body.workflow === undefined, {
    message: 'expected `definition` or `workflow`, or neither',
  });

/**
 * Reads `POST /v1/runs/{id}:fork`: a new run that begins with what the other had recorded before a task, under its own definition or
 * another one.
 *
 * @throws GatewayError invalid_request (`task_not_begun`, `definition_does_not_fit`), conflict (`run_was_undone`).
 */
export async function readFork(request: FastifyRequest, run: RunSummary, deps: ApiDeps): Promise<Submission> {
  const source = readSource(request);
  const { task, visit, ...given } = checkFields(source.value, forkBody);
  const isOther = (given.definition ?? given.workflow) !== undefined;
  const { workflow, document } = isOther
    ? await readDefinition(request, source, given, deps)
    : await definitionOf(run, deps);
  const records = await readRecords(run.id, deps.journal);
  const plan = planRewind(records, { verb: 'rewind', task, visit });
  if ('refusal' in plan) throw refusals[plan.refusal]();
  const state = replay(records.slice(0, plan.to));
  requireFit(state, workflow);
  return {
    workflow,
    document,
    input: state.input,
    idempotencyKey: readKey(request),
    digest: digestOf(canonicalJson({ fork: run.id, task, to: plan.to, definition: workflow.hash })),
    caller: request.caller,
    trace: request.traceContext,
    limits: state.lowered,
    context: initialContext(records),
    fork: { run: run.id, task, to: plan.to, keptNanoUsd: paidBy(records, plan.to, state) },
  };
}

/** What a run began with as a fork was paid for by yet another one. */
function paidBy([created]: readonly JournalRecord[], to: number, { costNanoUsd }: RunState): string {
  const fork = created?.event.type === 'run-created' ? created.event.fork : undefined;
  return fork !== undefined && to <= fork.to ? '0' : costNanoUsd.toString();
}

async function definitionOf({ definition: hash }: RunSummary, { journal, definitions }: ApiDeps) {
  const stored = await journal.getDefinition(hash);
  if (stored === undefined) throw new Error(`No definition ${hash}`);
  return { workflow: definitions.load(hash, stored.document), document: stored.document };
}

/** What is open goes on in the definition: it has to have the same tasks in the same places. */
function requireFit({ tasks, lists }: RunState, workflow: Workflow): void {
  const open = [...tasks.values()].map(({ path }) => path);
  const next = [...lists.values()].flatMap(({ next: path }) => (path === null ? [] : [path]));
  const missing = [...open, ...next].find(path => !workflow.tasks.has(path));
  if (missing === undefined) return;
  throw new GatewayError('invalid_request', `The definition has no task '${missing}', at which the run is.`, {
    reason: 'definition_does_not_fit',
    param: 'definition',
  });
}
