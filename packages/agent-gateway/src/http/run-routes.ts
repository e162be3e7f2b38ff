import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonValue } from '@strata/shared/json/canonical-json.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { RunSummary } from '../domain/journal.ts';
import { isUnreadable } from '../domain/journal-errors.ts';
import { replay } from '../domain/replay.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { requireUnderstood } from '../domain/understood.ts';
import { awaitRecords } from '../pipeline/await-run.ts';
import { moveRun } from '../pipeline/export-run.ts';
import { loadWorkflow } from '../pipeline/load-workflow.ts';
import { readRecords } from '../pipeline/read-records.ts';
import { submitInThread } from '../pipeline/submit-in-thread.ts';
import { type Submission, submitRun } from '../pipeline/submit-run.ts';
import type { ApiDeps } from './api-deps.ts';
import type { Asked } from './asked.ts';
import { findRun } from './find-run.ts';
import { readFork } from './fork-run.ts';
import { leaveLimits } from './limit-requests.ts';
import { migrateRun } from './migrate-run.ts';
import { checkFields, definitionMediaTypes } from './read-body.ts';
import { readSignal, runVerbs } from './run-verbs.ts';
import { showInDoubt, showPause, showRun, showSummary } from './run-view.ts';
import { readSubmission } from './submission.ts';
import { findThread } from './thread-routes.ts';

const caller = { access: 'caller' } as const;
/** How long an answer waits for what was asked to take effect. */
const answerWaitMs = 1000;

export const submitQuery = z.strictObject({
  wait: z.coerce.number().min(0).default(0),
});

interface WithId {
  Params: { id: string };
}

/** `/v1/runs`: submit, read, cancel, resolve. */
export function addRunRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const { journal } = deps;

  app.post(
    '/v1/runs',
    { config: { ...caller, mediaTypes: definitionMediaTypes } },
    async (request, reply) => {
      const { wait } = checkFields(request.query, submitQuery);
      const submission = await readSubmission(request, deps);
      const { isNew, run } = await submit(request, submission, deps);
      if (!isNew) void reply.header('idempotency-replayed', 'true');
      const maxMs = Math.min(wait * 1000, deps.maxWaitMs());
      return answer(reply, await awaitRun(request, run, { maxMs, isDone: isAtRest }, deps), deps);
    },
  );

  app.get<WithId>('/v1/runs/:id', { config: caller }, async request =>
    show(await findRun(request.caller, request.params.id, journal), deps),
  );

  app.post<WithId>('/v1/runs/:id', { config: caller }, async (request, reply) => {
    const { id, verb } = splitVerb(request.params.id);
    if (verb === 'fork') {
      const source = await findRun(request.caller, id, journal);
      const { isNew, run } = await submitRun(await readFork(request, source, deps), deps);
      if (!isNew) void reply.header('idempotency-replayed', 'true');
      else await deps.recordChange(request, { action: 'run.fork', id: source.id, runId: run.id });
      return answer(reply, run, deps);
    }
    if (verb === 'export') {
      const run = await findRun(request.caller, id, journal);
      deps.policy.require(
        request.caller,
        { kind: 'workflow', name: `${run.namespace}/${run.name}` },
        'export',
      );
      const bundle = await moveRun(run, { by: request.caller.principal, signal: request.gone }, deps);
      const details = { digest: bundle.digest };
      await deps.recordChange(request, { action: 'run.export', id: run.id, runId: run.id, details });
      return bundle;
    }
    if (verb === 'migrate') {
      const run = await findRun(request.caller, id, journal);
      return migrateRun(request, run, {
        ...deps,
        ask: (of, asked) => askAndRecord(request, of, { verb, asked }, deps),
        answer: of => answer(reply, of, deps),
      });
    }
    const make = Object.hasOwn(runVerbs, verb) ? runVerbs[verb] : undefined;
    if (make === undefined) throw unknownVerb(request);
    const run = await findRun(request.caller, id, journal);
    const asked = await make(request, run, deps);
    if (asked.kind === 'resolve') await requireParked(run, asked.call, deps);
    await askAndRecord(request, run, { verb, asked }, deps);
    const after = await awaitRun(request, run, { maxMs: answerWaitMs, isDone: effectOf(asked, run) }, deps);
    return answer(reply, after, deps);
  });

  app.post<{ Params: { id: string; name: string } }>(
    '/v1/runs/:id/signals/:name',
    { config: caller },
    async (request, reply) => {
      const { id, name } = request.params;
      const run = await findRun(request.caller, id, journal);
      const asked = readSignal(request, name, deps);
      await requireMessageRoom(run, deps);
      await ask(request, run, asked, deps);
      return reply.code(202).send({ run: run.id, signal: name, id: asked.id });
    },
  );
}

function submit(request: FastifyRequest, submission: Submission, deps: ApiDeps) {
  const { thread } = submission;
  if (thread === undefined) return submitRun(submission, deps);
  const find = () => findThread(request, thread, deps);
  return submitInThread(submission, { find, signal: request.gone }, deps);
}

/** The router cannot tell a parameter from a colon that follows it. */
function splitVerb(text: string): { id: string; verb: string } {
  const at = text.indexOf(':');
  return at === -1 ? { id: text, verb: '' } : { id: text.slice(0, at), verb: text.slice(at + 1) };
}

function unknownVerb(request: FastifyRequest): GatewayError {
  const known = [...Object.keys(runVerbs), 'fork', 'migrate', 'export'].join(', ');
  const path = request.url.split('?', 1)[0]?.slice(0, 200) ?? '';
  return new GatewayError('not_found', `There is nothing at POST ${path}. A run takes: ${known}.`, {
    reason: 'unknown_route',
  });
}

/** 200 for a run that has ended, 202 for one that goes on. */
async function answer(reply: FastifyReply, run: RunSummary, deps: ApiDeps): Promise<FastifyReply> {
  const body = await show(run, deps);
  return reply
    .code(terminalStatuses.has(run.status) ? 200 : 202)
    .header('location', `/v1/runs/${run.id}`)
    .send(body);
}

async function show(run: RunSummary, deps: ApiDeps) {
  try {
    return await showWhole(run, deps);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { ...showSummary(run), problem: error.reason };
  }
}

async function showWhole(run: RunSummary, deps: ApiDeps) {
  const { journal } = deps;
  const first = await journal.read(run.id, 0, 2);
  const isOver = terminalStatuses.has(run.status);
  const last = isOver ? (await journal.read(run.id, run.position - 1, 1))[0] : undefined;
  const shown = showRun(run, { first, last });
  if (run.status === 'paused') return { ...shown, pause: showPause(await readState(run, journal)) };
  if (run.status !== 'in_doubt') return shown;
  const state = await readState(run, journal);
  requireUnderstood(state, { workflow: await loadWorkflow(state.definition, deps), types: deps.types });
  return { ...shown, in_doubt: showInDoubt(state) };
}

async function readState({ id }: RunSummary, journal: ApiDeps['journal']) {
  return replay(await readRecords(id, journal));
}

interface Awaited {
  readonly maxMs: number;
  readonly isDone: (run: RunSummary) => boolean;
}

async function awaitRun(
  request: FastifyRequest,
  run: RunSummary,
  { maxMs, isDone }: Awaited,
  { journal, clock }: ApiDeps,
): Promise<RunSummary> {
  leaveLimits(request);
  const untilMs = clock.monotonic() + maxMs;
  let current = run;
  while (!isDone(current)) {
    const leftMs = untilMs - clock.monotonic();
    if (leftMs <= 0 || request.gone.aborted) break;
    const news = awaitRecords(run.id, { journal, clock, signal: request.gone, maxMs: leftMs });
    // Read after listening began: a record between the two is not missed.
    current = (await journal.getRun(run.tenant, run.id)) ?? current;
    if (!isDone(current)) await news.heard;
    news.close();
    current = (await journal.getRun(run.tenant, run.id)) ?? current;
  }
  return current;
}

/** It does nothing more before somebody says so. */
const isAtRest = ({ status }: RunSummary) => terminalStatuses.has(status) || status === 'paused';

/** What the answer to a request waits for. A run that was at rest has a new record when it has heard of it. */
function effectOf({ kind }: Asked, before: RunSummary): (run: RunSummary) => boolean {
  const hasHeard = ({ position }: RunSummary) => position > before.position;
  if (before.status === 'paused' && kind === 'resume') return hasHeard;
  if (!isAtRest(before) || kind === 'pause') return isAtRest;
  return run => hasHeard(run) && isAtRest(run);
}

async function askAndRecord(
  request: FastifyRequest,
  run: RunSummary,
  { verb, asked }: { readonly verb: string; readonly asked: Asked },
  deps: ApiDeps,
): Promise<void> {
  await ask(request, run, asked, deps);
  const details = changeDetails(asked);
  await deps.recordChange(request, { action: `run.${verb}`, id: run.id, runId: run.id, details });
}

/** What was asked, without what a resolution says the call gave: that is data of the run. */
function changeDetails({ kind, payload }: Asked): JsonValue {
  if (kind !== 'resolve') return JSON.parse(JSON.stringify(payload));
  const { resolution, ...which } = payload as { resolution: { action: string } }; // of the verb `resolve`
  return JSON.parse(JSON.stringify({ ...which, action: resolution.action }));
}

async function ask(
  request: FastifyRequest,
  run: RunSummary,
  { kind, payload }: Asked,
  { journal, clock, onAsked }: ApiDeps,
): Promise<void> {
  const { tenant, principal } = request.caller;
  const isTaken = await journal.request(tenant, run.id, { kind, payload, by: principal, atMs: clock.now() });
  if (!isTaken) {
    throw new GatewayError('conflict', `The run has ended; it is ${run.status}.`, {
      reason: 'run_has_ended',
    });
  }
  onAsked(run.id);
}

/** The limit of the run itself is looked for only when it has met what is configured: it may have been granted more. */
async function requireMessageRoom(run: RunSummary, { journal, limits }: ApiDeps): Promise<void> {
  const never = Number.POSITIVE_INFINITY;
  const sent = await journal.countMessages(run.id);
  if (sent < (limits().maxMessages ?? never)) return;
  const { limits: own } = await readState(run, journal);
  if (sent < (own.maxMessages ?? never)) return;
  throw new GatewayError('conflict', `The run was sent ${sent} signals and events; it takes no more.`, {
    reason: 'too_many_messages',
  });
}

async function requireParked(run: RunSummary, call: string | undefined, { journal }: ApiDeps): Promise<void> {
  const parked = run.status === 'in_doubt' ? showInDoubt(await readState(run, journal)) : [];
  if (call === undefined ? parked.length > 0 : parked.some(each => each.call === call)) return;
  throw new GatewayError('conflict', 'Nothing of this run waits to be resolved under that name.', {
    reason: 'nothing_in_doubt',
  });
}
