import type { Clock } from '@strata/shared/clock.ts';
import { type Approval, type ApprovalStatus, askCall } from '../domain/approval.ts';
import type { CallState } from '../domain/call-state.ts';
import type { Journal } from '../domain/journal.ts';
import { replay } from '../domain/replay.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { readRecords } from './read-records.ts';

/**
 * How a question stands now. It is `void` while nobody waits for its answer: its run has ended, or its task was called off, timed out or
 * lost a race. That is not written down, because a run that is taken up again may wait for it again.
 */
export async function standingOf(
  approval: Approval,
  { journal, clock }: { readonly journal: Journal; readonly clock: Clock },
): Promise<ApprovalStatus> {
  if (approval.status !== 'pending') return approval.status;
  if (approval.deadlineAtMs <= clock.now()) return 'expired';
  if (!(await isRunOpen(approval, journal))) return 'void';
  const { tasks } = replay(await readRecords(approval.runId, journal));
  const isAwaited = [...tasks.values()].some(
    ({ path, calls }) => path === approval.taskPath && isAskedBy(calls.get(askCall), approval.id),
  );
  return isAwaited ? 'pending' : 'void';
}

/** Somebody may be faster than the record of its having been asked. */
function isAskedBy(call: CallState | undefined, id: string): boolean {
  if (call?.status !== 'completed') return call !== undefined;
  return (call.result as { approval: string }).approval === id; // written by the effect `human`
}

/** Whether the run can still wait for it; cheaper than to know whether it does. */
export async function isRunOpen({ tenant, runId }: Approval, journal: Journal): Promise<boolean> {
  const run = await journal.getRun(tenant, runId);
  return run !== undefined && !terminalStatuses.has(run.status);
}
