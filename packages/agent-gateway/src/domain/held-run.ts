import type { RunState } from './run-state.ts';

/** It waits for money, or a run that it waits for does. */
export function isHeld({ tasks }: RunState): boolean {
  return [...tasks.values()].some(
    ({ calls, child }) =>
      child?.held !== undefined || [...calls.values()].some(({ status }) => status === 'held'),
  );
}
