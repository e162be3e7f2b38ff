import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { traceContextOf } from '@strata/shared/http/trace-context.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Journal, NewRun } from '../domain/journal.ts';
import type { RunState } from '../domain/run-state.ts';
import type { PlannedChild } from '../domain/task-type.ts';

/**
 * A run that another run starts acts for the same principal, with the same scopes, one level deeper, and no longer than the other
 * may (W7, G4). It is pinned to the definition that the name stands for now.
 *
 * @throws GatewayError permission_denied (`workflow_not_allowed`, `run_depth_exhausted`), not_found (`workflow_not_found`).
 */
export async function planChildRun(
  { workflow, input, isDetached }: PlannedChild,
  { runId, state, nowMs }: { runId: string; state: RunState; nowMs: number },
  journal: Pick<Journal, 'getWorkflow'>,
): Promise<NewRun> {
  const { namespace, name, version } = workflow;
  const { identity, limits } = state;
  if (!matchesScope(identity.scopes.workflows, `${namespace}/${name}`)) {
    throw new GatewayError('permission_denied', `This run may not use the workflow '${namespace}/${name}'.`, {
      reason: 'workflow_not_allowed',
    });
  }
  if (identity.depth <= 1) {
    throw new GatewayError('permission_denied', 'Runs that start runs are nested as deep as they may be.', {
      reason: 'run_depth_exhausted',
    });
  }
  const stored = await journal.getWorkflow(identity.tenant, workflow);
  if (stored === undefined) {
    throw new GatewayError('not_found', `There is no workflow ${namespace}/${name}@${version}.`, {
      reason: 'workflow_not_found',
    });
  }
  return {
    id: newId('run', nowMs),
    tenant: identity.tenant,
    principal: identity.principal,
    definition: stored.definition,
    namespace,
    name,
    version,
    traceId: traceContextOf(state.traceparent).traceId,
    idempotencyKey: undefined,
    requestDigest: '',
    atMs: nowMs,
    event: {
      type: 'run-created',
      definition: stored.definition,
      workflow: `${namespace}/${name}:${version}`,
      input: input ?? {},
      identity: {
        ...identity,
        actors: [`workflow:${state.workflow}`, ...identity.actors],
        depth: identity.depth - 1,
        // What nobody waits for may go on when this run and its budget have ended.
        spendsOf: isDetached ? undefined : (identity.spendsOf ?? runId),
      },
      limits,
      deadlineAtMs: Math.min(
        nowMs + limits.maxRunMs,
        isDetached ? Number.POSITIVE_INFINITY : state.deadlineAtMs,
      ),
      ...(Number.isFinite(state.expiresAtMs) && { expiresAtMs: state.expiresAtMs }),
      traceparent: state.traceparent,
      ...(!isDetached && { parent: runId }),
    },
  };
}
