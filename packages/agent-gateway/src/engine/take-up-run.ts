import type { Claim, RunRequest } from '../domain/append.ts';
import { isUnreadable } from '../domain/journal-errors.ts';
import { queuedUntil } from '../domain/queue.ts';
import { replay } from '../domain/replay.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import { type RunState, terminalStatuses } from '../domain/run-state.ts';
import { neverMs } from '../domain/schedule.ts';
import { requireUnderstood } from '../domain/understood.ts';
import type { Workflow } from '../domain/workflow.ts';
import { answerRequest } from './answer-request.ts';
import { type DriverJournal, type Patience, patiently } from './patient-journal.ts';
import type { DriverDeps } from './run-context.ts';
import { loadRun, RunWriter } from './run-writer.ts';

export interface TakenUp {
  readonly state: RunState;
  readonly workflow: Workflow;
  readonly requests: readonly RunRequest[];
}

interface Parts {
  readonly claim: Claim;
  /** All that is recorded of it, when it was made here just now and nobody can have asked anything of it. */
  readonly made?: readonly JournalRecord[] | undefined;
  readonly journal: DriverJournal;
  readonly patience: Patience;
}

/** How long a run is left alone that this release cannot go on with: another worker may be of the one that can. */
const notUnderstoodMs = 60_000;

/** Reads what is on disk of a run that was claimed. Undefined when there is nothing to go on with: it has been let go of. */
export async function takeUpRun(parts: Parts, deps: DriverDeps): Promise<TakenUp | undefined> {
  const { claim, journal, patience } = parts;
  const { types } = deps;
  try {
    const { state, requests } = await recorded(parts);
    if (terminalStatuses.has(state.status)) return await revive({ state, requests }, parts);
    const workflow = await patiently(() => deps.loadWorkflow(state.definition), patience);
    requireUnderstood(state, { workflow, types });
    return { state, workflow, requests };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    deps.telemetry.log.error(
      { runId: claim.runId, err: error },
      'a run was parked, it cannot be gone on with',
    );
    const nowMs = patience.clock.now();
    // Nothing is done from what is not what was written: somebody has to look at it, and asks the run when that is mended.
    const wakeAtMs = error.reason === 'run_not_understood' ? nowMs + notUnderstoodMs : neverMs;
    await journal.release(claim, { wakeAtMs, isParked: true, status: 'in_doubt', nowMs });
    return undefined;
  }
}

async function recorded({ claim: { runId }, made, journal }: Parts): Promise<Omit<TakenUp, 'workflow'>> {
  if (made !== undefined) return { state: replay(made), requests: [] };
  const [state, requests] = await Promise.all([loadRun(runId, journal), journal.requests(runId)]);
  return { state, requests };
}

/** Ended runs are claimed when a rewind was asked for. What the run is then is folded by the next claim. */
async function revive(
  { state, requests }: Omit<TakenUp, 'workflow'>,
  { claim, journal, patience: { clock } }: Parts,
): Promise<undefined> {
  const writer = new RunWriter({ claim, state, journal, clock });
  for (const request of requests) {
    writer.consume(request.id);
    for (const event of answerRequest(request, state)) writer.record(event);
  }
  await writer.flush();
  if (terminalStatuses.has(state.status)) return;
  const nowMs = clock.now();
  const queuedUntilMs = queuedUntil(state);
  await journal.release(claim, { wakeAtMs: nowMs, queuedUntilMs, status: 'running', nowMs });
}
