import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
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

/**
 * The one effect whose calls somebody speaks of. Undefined when none waits.
 *
 * @throws GatewayError invalid_request (`request_invalid`) when they are several: one result is not that of each.
 */
export function parkedEffect(
  parked: readonly ParkedCall[],
  { call, path }: { readonly call: string | undefined; readonly path: string | undefined },
): string | undefined {
  const named = parked.filter(each => [undefined, each.call].includes(call));
  const [effect, ...others] = new Set(
    named.filter(each => [undefined, each.path].includes(path)).map(each => each.effect),
  );
  if (others.length > 0)
    throw new GatewayError('invalid_request', 'Calls of several kinds wait: say which task it is about.', {
      reason: 'request_invalid',
      param: '/task',
    });
  return effect;
}
