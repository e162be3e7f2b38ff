import type { ChildOutcome, RunEvent } from './run-events.ts';

/** What a run tells the one that waits for it; undefined for a record that is not its end. */
export function outcomeOf(event: RunEvent): ChildOutcome | undefined {
  switch (event.type) {
    case 'run-completed':
      return { status: 'completed', output: event.output };
    case 'run-failed':
      return { status: 'failed', error: event.error };
    case 'run-cancelled':
      return { status: 'cancelled' };
    case 'run-terminated':
      return { status: 'terminated' };
    default:
      return undefined;
  }
}
