import * as z from 'zod';
import type { RunRequest } from '../domain/append.ts';
import { findDivergence } from '../domain/migrate.ts';
import type { JournalRecord, RunEvent } from '../domain/run-events.ts';
import { type RunState, terminalStatuses } from '../domain/run-state.ts';
import type { Workflow } from '../domain/workflow.ts';

const migrateSchema = z.object({ definition: z.string() });

export interface MigrationParts {
  readonly state: RunState;
  readonly workflow: Workflow;
  /** All that the run has recorded. */
  readRecords(): Promise<readonly JournalRecord[]>;
  loadWorkflow(hash: string): Promise<Workflow>;
}

/** Looked at once more where the run is held: it may have gone on since it was asked. Undefined when it cannot go on there. */
export async function answerMigration(
  { payload, by }: RunRequest,
  { state, workflow: from, readRecords, loadWorkflow }: MigrationParts,
): Promise<{ readonly event: RunEvent; readonly workflow: Workflow } | undefined> {
  const { definition } = migrateSchema.parse(payload);
  if (terminalStatuses.has(state.status) || definition === state.definition) return undefined;
  const to = await loadWorkflow(definition);
  if (findDivergence(await readRecords(), { from, to }) !== undefined) return undefined;
  const { namespace, name, version } = to;
  const workflow = `${namespace}/${name}:${version}`;
  return {
    workflow: to,
    event: { type: 'run-migrated', by, definition, workflow, version, from: from.version },
  };
}
