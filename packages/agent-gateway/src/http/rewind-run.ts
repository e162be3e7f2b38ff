import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { RunSummary } from '../domain/journal.ts';
import { replay } from '../domain/replay.ts';
import { planRewind, type RewindTarget } from '../domain/rewind.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { readRecords } from '../pipeline/read-records.ts';
import { settleThread, type ThreadDeps } from '../pipeline/settle-thread.ts';
import type { ApiDeps } from './api-deps.ts';
import type { Asked } from './asked.ts';

/**
 * Takes up a run that has ended. It is planned for the records that the run has now; should it end another way meanwhile, nothing
 * comes of it.
 *
 * @throws GatewayError conflict (`run_has_not_ended`, `run_has_moved`, `run_has_not_failed`, `run_was_undone`), invalid_request (`task_not_begun`).
 */
export async function askRewind(run: RunSummary, target: RewindTarget, deps: ApiDeps): Promise<Asked> {
  requireEnd(run, target);
  const { journal, clock } = deps;
  const records = await readRecords(run.id, journal);
  await settleThreadOf(run, records, deps);
  const plan = planRewind(records, target);
  if ('refusal' in plan) throw refusals[plan.refusal]();
  const deadlineAtMs = clock.now() + replay(records).limits.maxRunMs;
  const payload = { ...plan, verb: target.verb, position: records.length, deadlineAtMs };
  return { kind: 'rewind', payload };
}

/** With what the run left when it ended, whoever has looked since: what it does from now on is no part of its thread. */
async function settleThreadOf(
  { tenant }: RunSummary,
  [created]: readonly JournalRecord[],
  deps: ThreadDeps,
): Promise<void> {
  const id = created?.event.type === 'run-created' ? created.event.thread : undefined;
  const thread = id === undefined ? undefined : await deps.threads.get(tenant, id);
  if (thread !== undefined) await settleThread(thread, deps);
}

function requireEnd({ status }: RunSummary, { verb }: RewindTarget): void {
  if (verb === 'retry' && status !== 'failed')
    throw new GatewayError('conflict', `Only a failed run can be retried; it is ${status}.`, {
      reason: 'run_has_not_failed',
    });
  if (status === 'moved')
    throw new GatewayError('conflict', 'The run was exported, and goes on where it was imported.', {
      reason: 'run_has_moved',
    });
  if (!terminalStatuses.has(status))
    throw new GatewayError('conflict', `Terminate the run before it is rewound; it is ${status}.`, {
      reason: 'run_has_not_ended',
    });
}

export const refusals = {
  task_not_found: () =>
    new GatewayError('invalid_request', 'The run has not come to that visit of that task.', {
      reason: 'task_not_begun',
      param: 'task',
    }),
  run_was_undone: () =>
    new GatewayError(
      'conflict',
      'Tasks that the run would take as done have been undone. Rewind it to before the first of them.',
      { reason: 'run_was_undone' },
    ),
} as const;
