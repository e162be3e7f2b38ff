import type * as z from 'zod';
import type { RunEvent } from './run-events.ts';
import { type RunState, taskKey } from './run-state.ts';

/** By effect: what somebody may say that a call gave, and what is recorded of it. A task could not go on with anything else. */
export type GivenResults = Readonly<Record<string, z.ZodType>>;

export interface ParkedCall {
  readonly path: string;
  readonly call: string;
  readonly effect: string;
}

/** The calls that wait for somebody to say how they ended. */
export function parkedCalls(state: RunState, records: readonly { readonly event: RunEvent }[]): ParkedCall[] {
  const parked = new Map<string, ParkedCall>();
  for (const { event } of records) {
    if (event.type !== 'call-started') continue;
    const { path, call, effect } = event;
    const status = state.tasks.get(taskKey(event))?.calls.get(call)?.status;
    if (status === 'parked') parked.set(`${taskKey(event)} ${call}`, { path, call, effect });
  }
  return [...parked.values()];
}
