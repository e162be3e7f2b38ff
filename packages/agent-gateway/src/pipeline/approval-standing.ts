import type { Clock } from '@strata/shared/clock.ts';
import { type Approval, type ApprovalStatus, askCall } from '../domain/approval.ts';
import type { Journal, RunSummary } from '../domain/journal.ts';
import { replay } from '../domain/replay.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { readRecords } from './read-records.ts';

export interface ApprovalStandings {
  /**
   * How a question stands now. It is `void` while nobody waits for its answer: its run has ended, or its task was called off, timed out or
   * lost a race. That is not written down, because a run that is taken up again may wait for it again.
   */
  of(approval: Approval): Promise<ApprovalStatus>;
}

/** What a run waits for, as far as it is recorded. */
interface Awaited {
  readonly position: number;
  readonly approvals: ReadonlySet<string>;
  /** Tasks that are just putting their question: somebody may be faster than the record of that. */
  readonly asking: ReadonlySet<string>;
}

/** Of runs that wait for people; what is forgotten is read again. */
const maxKept = 1000;

/** Looks into the records of a run once for as long as it has these: an inbox is looked into again and again. */
export function createApprovalStandings({
  journal,
  clock,
}: {
  readonly journal: Journal;
  readonly clock: Clock;
}): ApprovalStandings {
  const kept = new Map<string, Awaited>();

  async function awaitedBy({ id, position }: RunSummary): Promise<Awaited> {
    const known = kept.get(id);
    kept.delete(id);
    const awaited = known?.position === position ? known : await readAwaited(id, journal);
    kept.set(id, awaited); // as the newest
    const [oldest] = kept.keys();
    if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
    return awaited;
  }

  return {
    async of({ id, status, deadlineAtMs, tenant, runId, taskPath }) {
      if (status !== 'pending') return status;
      if (deadlineAtMs <= clock.now()) return 'expired';
      const run = await journal.getRun(tenant, runId);
      if (run === undefined || terminalStatuses.has(run.status)) return 'void';
      const { approvals, asking } = await awaitedBy(run);
      return approvals.has(id) || asking.has(taskPath) ? 'pending' : 'void';
    },
  };
}

async function readAwaited(runId: string, journal: Journal): Promise<Awaited> {
  const { position, tasks } = replay(await readRecords(runId, journal));
  const approvals = new Set<string>();
  const asking = new Set<string>();
  for (const { path, calls } of tasks.values()) {
    const call = calls.get(askCall);
    if (call?.status === 'completed')
      approvals.add((call.result as { approval: string }).approval); // by the effect `human`
    else if (call !== undefined) asking.add(path);
  }
  return { position, approvals, asking };
}
