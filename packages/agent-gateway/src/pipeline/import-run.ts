import type { SpanContext } from '@opentelemetry/api';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { newId } from '@strata/shared/ids.ts';
import { canonicalJson } from '@strata/shared/json/canonical-json.ts';
import type { NewRecord, NewRun, Told } from '../domain/append.ts';
import { requireAgents, requireWorkflow, requireWorkflowScope } from '../domain/authority.ts';
import { outcomeOf } from '../domain/child-outcome.ts';
import { isHeld } from '../domain/held-run.ts';
import type { RunSummary } from '../domain/journal.ts';
import { checkGranted, checkLowered } from '../domain/lowered-limits.ts';
import { queuePlaceOf } from '../domain/queue-place.ts';
import { initialContext, replay } from '../domain/replay.ts';
import type { ChildOutcome, JournalRecord, RunEvent } from '../domain/run-events.ts';
import { digestOfExport, type ExportedRun, type RunExport } from '../domain/run-export.ts';
import type { RunState } from '../domain/run-state.ts';
import { spentBefore } from '../domain/spent-before.ts';
import type { Workflow } from '../domain/workflow.ts';
import { describeRun } from './export-run.ts';
import { type ImportedTerms, termsOfImport } from './imported-terms.ts';
import { identityOf, type SubmitDeps, tracedFrom } from './submit-run.ts';

export interface ImportDeps extends SubmitDeps {
  readonly readDefinition: (document: string) => Promise<Workflow>;
}

interface Reading {
  readonly run: ExportedRun;
  readonly id: string;
  /** As it was before it was let go of. */
  readonly state: RunState;
  readonly records: readonly JournalRecord[];
  readonly workflow: Workflow;
}

/**
 * Takes runs in that were exported elsewhere, or here: under new ids, in the name of whoever imports them, with the keys of their calls
 * unchanged. Once, however often it is asked and whatever became of the export on its way: two runs that go on with the same past would
 * do the same things twice, under the same keys.
 *
 * @throws GatewayError invalid_request (`export_invalid`, `export_is_copy`), permission_denied (`export_of_other_tenant`,
 *   `workflow_not_allowed`), conflict (`run_not_moved`, `run_was_imported`).
 */
export async function importRun(
  bundle: RunExport,
  { caller, trace }: { caller: Caller; trace: SpanContext },
  deps: ImportDeps,
): Promise<{ isNew: boolean; run: RunSummary }> {
  requireWhole(bundle, caller);
  const nowMs = deps.clock.now();
  const moved = bundle.runs.filter(run => run.records.at(-1)?.event.type === 'run-exported');
  if (moved[0] === undefined || moved[0].id !== bundle.runs[0]?.id)
    throw invalid('It holds no run that was moved.');
  for (const run of moved) await requireOrigin(run, caller.tenant, deps);
  const readings: Reading[] = [];
  for (const run of moved) readings.push(await read(run, newId('run', nowMs), { bundle, caller }, deps));
  for (const [hash, document] of Object.entries(bundle.definitions))
    await deps.journal.putDefinition({ hash, document }, nowMs);
  const terms = termsOfImport(readings, { caller, configured: deps.limits() });
  const spent = spentOf(readings, bundle);
  const runs = await Promise.all(
    readings.map(each => newRun(each, { readings, terms, spent, bundle, caller, trace, nowMs }, deps)),
  );
  const result = await deps.journal.importRuns(runs, askedOf(readings, bundle));
  if (result.run.requestDigest !== bundle.digest)
    throw new GatewayError('conflict', `Another export of this run was taken in as ${result.run.id}.`, {
      reason: 'run_was_imported',
    });
  if (result.isNew) deps.onCreated();
  return result;
}

function requireWhole(bundle: RunExport, caller: Caller): void {
  if (digestOfExport(bundle) !== bundle.digest) throw invalid('Its digest is not that of its content.');
  if (bundle.kind !== 'moved' || bundle.redacted)
    throw new GatewayError('invalid_request', 'This is a copy to be read; the run goes on where it is.', {
      reason: 'export_is_copy',
    });
  if (bundle.tenant !== caller.tenant)
    throw new GatewayError('permission_denied', 'The run belongs to another tenant.', {
      reason: 'export_of_other_tenant',
    });
}

/** Where the run came from here, it has to have been let go of, and to be what is recorded of it. */
async function requireOrigin(run: ExportedRun, tenant: string, { journal }: ImportDeps): Promise<void> {
  const origin = await journal.getRun(tenant, run.id);
  if (origin === undefined) return;
  if (origin.status !== 'moved')
    throw new GatewayError('conflict', `The run ${run.id} is here, and was not moved.`, {
      reason: 'run_not_moved',
    });
  const recorded: unknown = JSON.parse(JSON.stringify(await describeRun(origin, false, journal)));
  if (canonicalJson(recorded) !== canonicalJson(run))
    throw invalid(`The run ${run.id} is here, and has other records.`);
}

async function read(
  run: ExportedRun,
  id: string,
  { bundle, caller }: { bundle: RunExport; caller: Caller },
  deps: ImportDeps,
): Promise<Reading> {
  requireWorkflowScope(caller, run);
  requireWorkflow(caller, run, deps.policy);
  const document = bundle.definitions[run.definition];
  if (document === undefined) throw invalid(`The definition of ${run.id} is missing.`);
  const workflow = await deps.readDefinition(document);
  if (workflow.hash !== run.definition) throw invalid(`The definition of ${run.id} is another one.`);
  const records = run.records.slice(0, -1).map(({ seq, at_ms: atMs, event }) => ({
    seq,
    atMs,
    event: event as unknown as RunEvent, // folded below, which refuses what does not fit together
    bytes: JSON.stringify(event).length,
  }));
  const state = fold(records);
  requireAgents(caller, workflow, deps.policy);
  const fits =
    state.definition === workflow.hash &&
    [...state.tasks.values()].every(({ path }) => workflow.tasks.has(path));
  if (!fits || (state.root === undefined && state.visits.size > 0))
    throw invalid(`The records of ${run.id} are not of its definition.`);
  return { run, id, state, records, workflow };
}

function fold(records: readonly JournalRecord[]): RunState {
  try {
    const state = replay(records);
    return { ...state, lowered: checkLowered(state.lowered), granted: checkGranted(state.granted) };
  } catch (error) {
    throw invalid(`Its records do not fit together: ${error instanceof Error ? error.message : ''}`);
  }
}

async function newRun(
  { run, id, state, records, workflow }: Reading,
  of: {
    readings: readonly Reading[];
    terms: ReadonlyMap<string, ImportedTerms>;
    spent: bigint;
    bundle: RunExport;
    caller: Caller;
    trace: SpanContext;
    nowMs: number;
  },
  deps: ImportDeps,
): Promise<NewRun> {
  const { readings, terms, spent, bundle, caller, trace, nowMs } = of;
  const { lowered } = state;
  const { limits, granted, deadlineAtMs } = termsOf(run, terms);
  const newIds = new Map(readings.map(each => [each.run.id, each.id]));
  const parent = state.parent && newIds.get(state.parent);
  const { spendsOf } = state.identity;
  const queue = state.queue?.isShared
    ? state.queue
    : await queuePlaceOf(workflow, state.input, deps.expressions);
  const { namespace, name, version, definition } = run;
  // Of its tree's tasks it holds those that it has open: what more it needs it asks for.
  const heldTasks = limits.maxLiveTasks === undefined ? undefined : state.tasks.size;
  const root = readings[0]?.id;
  const context = initialContext(records);
  const { envelope } = caller;
  const imported: RunEvent = {
    type: 'run-imported',
    by: caller.principal,
    run: run.id,
    keyRun: state.keyRun ?? run.id,
    limits,
    deadlineAtMs,
    ...(heldTasks !== undefined && { heldTasks }),
    ...tracedFrom(trace),
    children: Object.fromEntries(
      [...state.children.keys()].flatMap(each => {
        const now = newIds.get(each);
        return now === undefined ? [] : [[each, now]];
      }),
    ),
    asked: [...state.tasks.values()]
      .filter(({ path }) => workflow.tasks.get(path)?.type === 'call:human')
      .map(({ path, visit }) => ({ path, visit })),
  };
  return {
    id,
    tenant: caller.tenant,
    principal: caller.principal,
    definition,
    namespace,
    name,
    version,
    traceId: trace.traceId,
    idempotencyKey: `import:${run.id}`,
    requestDigest: bundle.digest,
    atMs: state.createdAtMs,
    queue: queue?.isShared ? undefined : queue,
    priority: workflow.priority,
    keepEndedMs: workflow.keepEndedMs,
    records: [...records.slice(1).map(toNewRecord), toNewRecord({ event: imported, atMs: nowMs })],
    event: {
      type: 'run-created',
      definition,
      workflow: `${namespace}/${name}:${version}`,
      ...(context !== undefined && { context }),
      input: state.input,
      identity: {
        ...identityOf(caller),
        spendsOf: spendsOf && newIds.get(spendsOf),
        ...(spent > 0n && { spentBeforeNanoUsd: spent.toString() }),
      },
      limits,
      ...(lowered !== undefined && { lowered }),
      ...(Object.keys(granted).length > 0 && { granted }),
      deadlineAtMs,
      ...(envelope?.deadlineAtMs !== undefined && { expiresAtMs: envelope.deadlineAtMs }),
      ...tracedFrom(trace),
      ...(parent !== undefined && { parent }),
      ...(queue !== undefined && { queue }),
      queuesAround: state.queuesAround,
      ...(root !== undefined && root !== id && { rootRun: root }),
      ...(heldTasks !== undefined && { heldTasks }),
      imported: { run: run.id, digest: bundle.digest, to: records.length },
    },
  };
}

/** All runs of an export spend the budget of the first, those too that have ended meanwhile. */
function spentOf([first]: readonly Reading[], { runs }: RunExport): bigint {
  try {
    return first === undefined ? 0n : spentBefore(first.state.identity, runs);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : '');
  }
}

function termsOf({ id }: ExportedRun, terms: ReadonlyMap<string, ImportedTerms>): ImportedTerms {
  const own = terms.get(id);
  if (own === undefined) throw new Error(`No terms for ${id}`);
  return own;
}

function toNewRecord({ event, atMs }: Pick<JournalRecord, 'event' | 'atMs'>): NewRecord {
  return { kind: event.type, payload: JSON.stringify(event), atMs };
}

/** What they were asked and had not answered, what they had not heard of one another, and how those have ended that were not moved. */
function askedOf(readings: readonly Reading[], { runs }: RunExport): Told[] {
  return readings.flatMap(({ run, id, state }) => [
    ...run.requests.map(({ kind, payload, by }) => ({ runId: id, kind, payload, by })),
    ...heldChildren({ run, state }, readings).map(child => ({
      runId: id,
      kind: 'child-held' as const,
      payload: { runId: child.id, error: child.state.pause?.error },
      by: `run:${child.run.id}`,
    })),
    ...[...state.children.keys()].flatMap(child => {
      const ended = runs.find(each => each.id === child);
      const outcome = ended && endOf(ended);
      if (outcome === undefined) return [];
      return [
        { runId: id, kind: 'child-ended' as const, payload: { runId: child, outcome }, by: `run:${child}` },
      ];
    }),
  ]);
}

/** Those that wait for money, and the run that waits for them was not told yet. */
function heldChildren(
  { run, state }: Pick<Reading, 'run' | 'state'>,
  readings: readonly Reading[],
): readonly Reading[] {
  return readings.filter(
    child =>
      child.state.parent === run.id &&
      child.state.pause?.error !== undefined &&
      isHeld(child.state) &&
      state.children.get(child.run.id)?.child?.held === undefined,
  );
}

function endOf({ records }: ExportedRun): ChildOutcome | undefined {
  const last = records.at(-1)?.event as RunEvent | undefined; // the last that it recorded
  return last && outcomeOf(last);
}

function invalid(detail: string): GatewayError {
  return new GatewayError('invalid_request', `This is no export that can be taken in. ${detail}`, {
    reason: 'export_invalid',
  });
}
