import * as z from 'zod';
import type { RunRequest } from '../domain/append.ts';
import { limitsFor, limitsOfRun, tiesOf } from '../domain/lowered-limits.ts';
import { findDivergence } from '../domain/migrate.ts';
import type { JournalRecord, RunEvent } from '../domain/run-events.ts';
import { type RunState, terminalStatuses } from '../domain/run-state.ts';
import type { RunLimits } from '../domain/run-terms.ts';
import type { Workflow } from '../domain/workflow.ts';

const migrateSchema = z.object({ definition: z.string() });

export interface MigrationParts {
  readonly state: RunState;
  readonly workflow: Workflow;
  /** What the configuration gives a run. */
  readonly configured: RunLimits;
  /** All that the run has recorded. */
  readRecords(): Promise<readonly JournalRecord[]>;
  loadWorkflow(hash: string): Promise<Workflow>;
}

/** Looked at once more where the run is held: it may have gone on since it was asked. Undefined when it cannot go on there. */
export async function answerMigration(
  { payload, by }: RunRequest,
  { state, workflow: from, configured, readRecords, loadWorkflow }: MigrationParts,
): Promise<{ readonly event: RunEvent; readonly workflow: Workflow } | undefined> {
  const { definition } = migrateSchema.parse(payload);
  if (terminalStatuses.has(state.status) || definition === state.definition) return undefined;
  const to = await loadWorkflow(definition);
  if (findDivergence(await readRecords(), { from, to }) !== undefined) return undefined;
  const { namespace, name, version } = to;
  const workflow = `${namespace}/${name}:${version}`;
  const { lowered, granted } = state;
  const ties = tiesOf(state);
  const limits = limitsOfRun({
    configured: ties.isStartedByRun ? state.limits : configured,
    workflow: { limits: limitsFor(to.limits, ties) },
    lowered,
    granted,
  });
  const event: RunEvent = {
    type: 'run-migrated',
    by,
    definition,
    workflow,
    version,
    from: from.version,
    limits,
    deadlineAtMs: deadlineUnder(limits, state),
  };
  return { workflow: to, event };
}

/** As much later or earlier as it may take longer; a run that another one started may have had less than its limits say from the beginning. */
function deadlineUnder({ maxRunMs }: RunLimits, state: RunState): number {
  const shiftedMs = state.deadlineAtMs + maxRunMs - state.limits.maxRunMs;
  if (!tiesOf(state).isStartedByRun) return shiftedMs;
  return Math.min(state.deadlineAtMs, Math.max(shiftedMs, state.createdAtMs + maxRunMs));
}
