import type { Claim } from '../domain/append.ts';
import type { Command } from '../domain/command.ts';
import { tooManyTasks } from '../domain/live-tasks.ts';
import type { RunState } from '../domain/run-state.ts';
import type { DriverJournal } from './patient-journal.ts';
import { type RunWriter, runTakenOver } from './run-writer.ts';

/**
 * Twice as many as it needs now, so that a run that opens ten thousand asks a dozen times. When the tree has no more the run is paused, and
 * asks again when it is resumed.
 *
 * @throws GatewayError conflict (`run_taken_over`).
 */
export async function reserveTasks(
  { path, least }: Extract<Command, { type: 'reserve' }>,
  {
    claim,
    state,
    journal,
    writer,
  }: { claim: Claim; state: RunState; journal: DriverJournal; writer: RunWriter },
): Promise<void> {
  const { maxLiveTasks: limit = Number.MAX_SAFE_INTEGER } = state.limits;
  const rootRun = state.rootRun ?? claim.runId;
  await writer.flush(); // what was handed to runs that are not written yet would be counted nowhere
  const total = await journal.reserveTasks(claim, { rootRun, least, wanted: 2 * least, limit });
  if (total === undefined) throw runTakenOver();
  if (total > 0) writer.record({ type: 'tasks-reserved', total });
  else writer.record({ type: 'run-paused', by: 'engine', error: tooManyTasks(path, state.limits) });
}
