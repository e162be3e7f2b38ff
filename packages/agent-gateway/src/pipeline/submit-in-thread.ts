import { createHash } from 'node:crypto';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newId } from '@strata/shared/ids.ts';
import type { RunSummary } from '../domain/journal.ts';
import { maxThreadRuns, type Thread } from '../domain/thread.ts';
import { free, type ThreadDeps } from './settle-thread.ts';
import { type Submission, type SubmitDeps, submitRun } from './submit-run.ts';

const maxAttempts = 10;
/** How long whoever submits the same waits for the run that its thread was taken for; it looks after ever longer pauses. */
const beginWaitMs = 10_000;
const looks = { firstMs: 20, longestMs: 1000 };

/**
 * Creates a run that begins with the context of a thread. The thread is taken first, under the id that the run will have: of two who
 * submit at the same moment one gets it. `find` gives the thread as it is now, and throws when there is none: a run that was submitted
 * before under its key is there all the same.
 *
 * @throws GatewayError conflict (`thread_is_busy`), and what `find` and `submitRun` throw.
 */
export async function submitInThread(
  submission: Submission,
  { find, signal }: { readonly find: () => Promise<Thread>; readonly signal: AbortSignal },
  deps: SubmitDeps & ThreadDeps,
): Promise<{ isNew: boolean; run: RunSummary }> {
  const { clock } = deps;
  if (await isRepeated(submission, deps)) return submitRun(submission, deps);
  const takenFor = keyDigest(submission);
  const untilMs = clock.monotonic() + beginWaitMs;
  let lookAfterMs = looks.firstMs;
  for (let lost = 0; lost < maxAttempts; ) {
    const thread = await find();
    if (thread.run === undefined) {
      const taken = await take({ ...thread, takenFor }, deps);
      if (taken !== undefined) return beginIn(taken, submission, deps);
      lost++;
      continue;
    }
    // What goes on may be this very submission: made at the same moment, or there since the look above.
    if (thread.takenFor !== takenFor || takenFor === undefined) throw threadIsBusy(thread.run);
    if ((await deps.journal.getRun(thread.tenant, thread.run)) !== undefined)
      return submitRun(submission, deps);
    if (clock.monotonic() >= untilMs) throw threadIsBusy(thread.run);
    await clock.sleep(lookAfterMs, signal);
    lookAfterMs = Math.min(looks.longestMs, 2 * lookAfterMs);
  }
  throw threadIsBusy(undefined);
}

/** Keys are of a tenant, as threads are; what is kept beside the thread does not tell them. */
function keyDigest({ idempotencyKey }: Submission): string | undefined {
  return idempotencyKey && createHash('sha256').update(idempotencyKey).digest('base64url');
}

interface Taken extends Thread {
  readonly run: string;
}

/** Undefined when somebody has changed it since it was found. */
async function take(thread: Thread, { threads, clock }: ThreadDeps): Promise<Taken | undefined> {
  const run = newId('run', clock.now());
  const runs = [run, ...thread.runs].slice(0, maxThreadRuns);
  const taken = await threads.change({ ...thread, run, runs }, clock.now());
  return taken && { ...taken, run };
}

async function beginIn(
  thread: Taken,
  submission: Submission,
  deps: SubmitDeps & ThreadDeps,
): Promise<{ isNew: boolean; run: RunSummary }> {
  try {
    const { run, context } = thread;
    const submitted = await submitRun({ ...submission, id: run, thread: thread.id, context }, deps);
    if (!submitted.isNew) await leave(thread, deps);
    return submitted;
  } catch (error) {
    // One that may be there all the same is looked for when the thread is settled.
    const isRefused = error instanceof GatewayError && error.kind !== 'overloaded';
    if (isRefused) await leave(thread, deps);
    throw error;
  }
}

/** No run came of it. Whatever else was changed meanwhile stays. */
async function leave({ tenant, id, run }: Taken, { threads, clock }: ThreadDeps): Promise<void> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const current = await threads.get(tenant, id);
    if (current?.run !== run) return;
    const runs = current.runs.filter(each => each !== run);
    if ((await threads.change({ ...current, ...free, runs }, clock.now())) !== undefined) return;
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
