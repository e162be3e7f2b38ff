import type { Clock } from '@strata/shared/clock.ts';
import { idTimeMs } from '@strata/shared/ids.ts';
import type { Journal } from '../domain/journal.ts';
import { isUnreadable } from '../domain/journal-errors.ts';
import { replay } from '../domain/replay.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import type { Thread, Threads } from '../domain/thread.ts';
import { readRecords } from './read-records.ts';

export interface ThreadDeps {
  readonly threads: Threads;
  readonly journal: Journal;
  readonly clock: Clock;
}

/** Of a thread in which no run goes on. */
export const free = { run: undefined, takenFor: undefined } as const;

/** So long a run that a thread was taken for may be on its way into the journal. */
const beginMs = 60_000;

/**
 * The thread as it is: with what its run has left, if that has ended. The journal says so, whoever was there when it ended; so nothing is
 * lost, and nothing is taken over twice, whichever process dies in between.
 */
export async function settleThread(thread: Thread, deps: ThreadDeps): Promise<Thread> {
  const { threads, journal, clock } = deps;
  if (thread.run === undefined) return thread;
  const run = await journal.getRun(thread.tenant, thread.run);
  if (run === undefined && clock.now() - idTimeMs(thread.run) < beginMs) return thread;
  if (run !== undefined && !terminalStatuses.has(run.status)) return thread;
  const context = run?.status === 'completed' ? await contextLeftBy(run.id, thread, journal) : thread.context;
  const settled = await threads.change({ ...thread, ...free, context }, clock.now());
  if (settled !== undefined) return settled;
  const current = await threads.get(thread.tenant, thread.id);
  return current === undefined ? { ...thread, ...free } : settleThread(current, deps);
}

/** A run that cannot be read has left nothing (F80). */
async function contextLeftBy(runId: string, thread: Thread, journal: Journal): Promise<unknown> {
  try {
    return replay(await readRecords(runId, journal)).context;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return thread.context;
  }
}

const batch = 100;

/** Before ended runs are removed: what they left is in their records. */
export async function settleThreads(deps: ThreadDeps, signal: AbortSignal): Promise<void> {
  let after = '';
  for (;;) {
    const page = await deps.threads.unsettled({ after, limit: batch });
    for (const thread of page) if (!signal.aborted) await settleThread(thread, deps);
    after = page.at(-1)?.id ?? '';
    if (page.length < batch || signal.aborted) return;
  }
}
