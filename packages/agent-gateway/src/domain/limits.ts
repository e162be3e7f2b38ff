import type { RunError } from './run-error.ts';
import { runError } from './run-error.ts';
import type { Branch, RunState } from './run-state.ts';

/** Why the next task of a list may not begin. The run is paused then, and goes on when somebody grants it more (W8). */
export function listProblem(state: RunState, list: Branch, path: string): RunError | undefined {
  const { limits } = state;
  if (state.steps >= limits.maxSteps)
    return limitReached(path, `The run has begun ${state.steps} tasks; the limit is ${limits.maxSteps}.`);
  const entry = list.entries.get(path);
  if (entry !== undefined && entry.count >= limits.maxVisits)
    return limitReached(path, `The task was begun ${entry.count} times; that is the limit for one task.`);
  if (entry !== undefined && entry.repeats >= limits.maxRepeats) {
    const detail = `The task was begun ${entry.repeats + 1} times in a row with an input it had met before.`;
    return runError('runtime', { status: 400, detail, instance: path, reason: 'no_progress' });
  }
  return recordProblem(state, path);
}

/** Whether it may be sent one more; what it has recorded is in memory whenever it is worked on. */
export function messageProblem({ received, limits }: RunState, path = ''): RunError | undefined {
  const { maxMessages = Number.POSITIVE_INFINITY } = limits;
  if (received.size < maxMessages) return undefined;
  return limitReached(path, `The run was sent ${received.size} signals and events; that is the limit.`);
}

export function recordProblem({ recordedBytes, limits }: RunState, path: string): RunError | undefined {
  if (recordedBytes <= limits.maxJournalBytes) return undefined;
  return limitReached(path, `The run has recorded more than ${limits.maxJournalBytes} bytes.`);
}

export function limitReached(instance: string, detail: string): RunError {
  return runError('runtime', { status: 400, detail, instance, reason: 'run_limit_reached' });
}
