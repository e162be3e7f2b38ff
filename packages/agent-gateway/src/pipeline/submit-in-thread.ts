import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newId } from '@strata/shared/ids.ts';
import type { RunSummary } from '../domain/journal.ts';
import { maxThreadRuns, type Thread } from '../domain/thread.ts';
import { settleThread, type ThreadDeps } from './settle-thread.ts';
import { type Submission, type SubmitDeps, submitRun } from './submit-run.ts';

/**
 * Creates a run that begins with the context of a thread. The thread is taken first, under the id that the run will have: of two who
 * submit at the same moment one gets it.
 *
 * @throws GatewayError conflict (`thread_is_busy`), and what `submitRun` throws.
 */
export async function submitInThread(
  submission: Submission,
  thread: Thread,
  deps: SubmitDeps & ThreadDeps,
): Promise<{ isNew: boolean; run: RunSummary }> {
  if (await isRepeated(submission, deps)) return submitRun(submission, deps);
  const settled = await settleThread(thread, deps);
  const id = newId('run', deps.clock.now());
  const runs = [id, ...settled.runs].slice(0, maxThreadRuns);
  const taken =
    settled.run === undefined
      ? await deps.threads.change({ ...settled, run: id, runs }, deps.clock.now())
      : undefined;
  if (taken === undefined) throw threadIsBusy(settled.run);
  const leave = () => deps.threads.change({ ...taken, run: undefined, runs: settled.runs }, deps.clock.now());
  try {
    const { context } = settled;
    const submitted = await submitRun({ ...submission, id, thread: thread.id, context }, deps);
    if (!submitted.isNew) await leave();
    return submitted;
  } catch (error) {
    // One that may be there all the same is looked for when the thread is settled.
    const isRefused = error instanceof GatewayError && error.kind !== 'overloaded';
    if (isRefused) await leave();
    throw error;
  }
}

async function isRepeated(
  { caller: { tenant }, idempotencyKey }: Submission,
  { journal }: ThreadDeps,
): Promise<boolean> {
  if (idempotencyKey === undefined) return false;
  return (await journal.listRuns({ tenant, idempotencyKey, limit: 1 })).length > 0;
}

export function threadIsBusy(run: string | undefined): GatewayError {
  return new GatewayError(
    'conflict',
    `Another run goes on in the thread${run === undefined ? '' : `: ${run}`}.`,
    {
      reason: 'thread_is_busy',
    },
  );
}
