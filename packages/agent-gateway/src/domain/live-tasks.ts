import { limitReached } from './limits.ts';
import type { RunError } from './run-error.ts';
import type { RunState } from './run-state.ts';
import type { RunLimits } from './run-terms.ts';

/**
 * How many tasks a tree of runs has open is bounded as money is (G4): each of its runs holds a part of what the tree may have and opens no
 * more than that, so the parts together are never more than the whole. A run that needs a larger part asks the journal for it, and hands
 * some of its own to each run that it starts.
 */
const firstPart = 8;
const childPart = 4;

/** What a run begins with that nobody has started; undefined when nothing bounds it, as in journals from before there was a bound. */
export function firstTasks({ maxLiveTasks }: RunLimits): number | undefined {
  return maxLiveTasks === undefined ? undefined : Math.min(firstPart, maxLiveTasks);
}

/** What a run gives to one that it starts. */
export function childTasks({ maxLiveTasks }: RunLimits): number | undefined {
  return maxLiveTasks === undefined ? undefined : Math.min(childPart, maxLiveTasks);
}

/** What the run has to hold for this to begin, when that is more than it holds. */
export function tasksToReserve(
  { tasks, heldTasks }: RunState,
  more: { readonly tasks: number },
): number | undefined {
  const needed = tasks.size + more.tasks;
  return needed > heldTasks ? needed : undefined;
}

export function tooManyTasks(path: string, { maxLiveTasks }: RunLimits): RunError {
  const detail = `The run, the runs that it has started and those that it was started by may have ${maxLiveTasks} tasks open.`;
  return limitReached(path, detail);
}
