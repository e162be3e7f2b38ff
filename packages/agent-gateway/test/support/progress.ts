import type { Progress } from '../../src/domain/append.ts';

/** Of a run that goes on and has cost nothing yet. */
export const progress: Progress = {
  status: 'running',
  costNanoUsd: 0n,
  unpricedCalls: 0,
  inputTokens: 0,
  outputTokens: 0,
  heldTasks: 0,
};
