import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { AgentFee } from './run-events.ts';
import type { OpenTask } from './run-state.ts';
import type { Move } from './task-type.ts';

/** What the use of an agent costs, beside what its models and tools do. */
export interface AgentPrice {
  /** Glob over `namespace/name`. */
  readonly agents: string;
  readonly nanoUsd: bigint;
  /** Names the price for good, beside what was booked with it ($-2). */
  readonly version: string;
}

/** What the effect `agent` is asked. */
export interface AgentFeeCall extends AgentFee {
  readonly agent: string;
}

/** The first that matches counts; undefined for an agent that costs nothing of its own. */
export function feeOf(agent: string | undefined, prices: readonly AgentPrice[]): AgentFee | undefined {
  if (agent === undefined) return undefined;
  const price = prices.find(({ agents }) => matchesScope([agents], agent));
  return price && { nanoUsd: price.nanoUsd.toString(), version: price.version };
}

const feeCall = 'fee';

/** Before the agent does anything its price is paid, once for each time that the task begins. Undefined when nothing is left to pay. */
export function planFee(agent: string | undefined, { fee, calls }: OpenTask): Move | undefined {
  const known = calls.get(feeCall);
  if (fee === undefined || agent === undefined || known?.status === 'completed') return undefined;
  if (known?.status === 'failed') return { type: 'fail', error: known.error };
  const request: AgentFeeCall = { ...fee, agent };
  // Booked under the key of the call: asking again books nothing twice.
  return {
    type: 'calls',
    calls: [{ id: feeCall, effect: 'agent', label: `use of ${agent}`, request, inDoubt: 'retry' }],
  };
}
