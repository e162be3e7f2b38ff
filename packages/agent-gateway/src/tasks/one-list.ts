import type { Branches } from '../domain/run-state.ts';
import type { Move } from '../domain/task-type.ts';

/** The plan of a task that ends as the list inside it ends. */
export function planOneList({ last }: Readonly<Branches>): Move {
  switch (last?.result.status) {
    case 'completed':
      return { type: 'complete', output: last.result.output };
    case 'failed':
      return { type: 'fail', error: last.result.error };
    default:
      return { type: 'branches', open: [] };
  }
}
