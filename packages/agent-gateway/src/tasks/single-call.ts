import type { CallState } from '../domain/call-state.ts';
import type { Move, PlannedCall } from '../domain/task-type.ts';

/** The plan of a task that makes one call and ends with what it gave. */
export function planSingleCall(
  calls: ReadonlyMap<string, CallState>,
  call: PlannedCall,
  finish: (result: unknown) => Move,
): Move {
  const known = calls.get(call.id);
  if (known?.status === 'completed') return finish(known.result);
  if (known?.status === 'failed') return { type: 'fail', error: known.error };
  return { type: 'calls', calls: [call] };
}
