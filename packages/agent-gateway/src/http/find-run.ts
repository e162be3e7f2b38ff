import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { Journal, RunSummary } from '../domain/journal.ts';

/** Runs of other tenants, runs outside of the caller's scopes, and runs that are not there give the same answer (G9, S-2). */
export async function findRun(caller: Caller, runId: string, journal: Journal): Promise<RunSummary> {
  const run = await journal.getRun(caller.tenant, runId);
  if (run === undefined || !maySee(caller, run)) {
    throw new GatewayError('not_found', 'There is no such run.', { reason: 'run_not_found' });
  }
  return run;
}

export function maySee(caller: Caller, run: { namespace: string; name: string }): boolean {
  return matchesScope(caller.scopes.workflows, `${run.namespace}/${run.name}`);
}
