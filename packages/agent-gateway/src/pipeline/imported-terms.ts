import type { Caller } from '@strata/shared/identity/caller.ts';
import { mayGrantMoney } from '../domain/authority.ts';
import { limitsFor, limitsOfRun } from '../domain/lowered-limits.ts';
import type { RunState } from '../domain/run-state.ts';
import type { GrantedLimits, RunLimits } from '../domain/run-terms.ts';
import type { Workflow } from '../domain/workflow.ts';

/** What a run may where it is taken in. */
export interface ImportedTerms {
  readonly limits: RunLimits;
  readonly granted: GrantedLimits;
  readonly deadlineAtMs: number;
}

interface Reading {
  /** The id that it had. */
  readonly run: { readonly id: string };
  readonly state: RunState;
  readonly workflow: Pick<Workflow, 'limits'>;
}

/** By the id that each had. A run stands after the one that waits for it, and may no more and no longer than that one (G4). */
export function termsOfImport(
  readings: readonly Reading[],
  { caller, configured }: { readonly caller: Caller; readonly configured: RunLimits },
): ReadonlyMap<string, ImportedTerms> {
  const all = new Map<string, ImportedTerms>();
  for (const { run, state, workflow } of readings) {
    const above = state.parent === undefined ? undefined : all.get(state.parent);
    const granted = grantedBy(caller, state.granted);
    const ties = {
      isStartedByRun: above !== undefined,
      spendsOfOther: above !== undefined && state.identity.spendsOf !== undefined,
    };
    const limits = limitsOfRun({
      configured: above?.limits ?? configured,
      workflow: { limits: limitsFor(workflow.limits, ties) },
      lowered: state.lowered,
      granted,
    });
    // As long as it had, and as much more or less as a run has here.
    const shiftedMs = state.deadlineAtMs + limits.maxRunMs - state.limits.maxRunMs;
    const deadlineAtMs =
      above === undefined
        ? shiftedMs
        : Math.min(above.deadlineAtMs, Math.max(shiftedMs, state.createdAtMs + limits.maxRunMs));
    all.set(run.id, { limits, granted, deadlineAtMs });
  }
  return all;
}

/** Money counts as far as the caller could grant it: nobody signs what an export says. */
function grantedBy(caller: Caller, { maxCostNanoUsd, ...counts }: GrantedLimits): GrantedLimits {
  return maxCostNanoUsd !== undefined && mayGrantMoney(caller) ? { ...counts, maxCostNanoUsd } : counts;
}
