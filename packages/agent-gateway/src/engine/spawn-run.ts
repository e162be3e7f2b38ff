import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { traceContextOf } from '@strata/shared/http/trace-context.ts';
import { newId } from '@strata/shared/ids.ts';
import type { NewRun } from '../domain/append.ts';
import { type Policy, requireAgents, requireWorkflow } from '../domain/authority.ts';
import type { Expressions } from '../domain/expressions.ts';
import { findWorkflow } from '../domain/find-workflow.ts';
import type { Journal } from '../domain/journal.ts';
import { childTasks } from '../domain/live-tasks.ts';
import { limitsFor, limitsOfRun, mergeLowered, tiesOf } from '../domain/lowered-limits.ts';
import { queuePlaceOf } from '../domain/queue-place.ts';
import type { RunState } from '../domain/run-state.ts';
import type { PlannedChild } from '../domain/task-type.ts';
import type { Workflow } from '../domain/workflow.ts';
import { runCaller } from './run-caller.ts';

export interface SpawnDeps {
  readonly policy: Policy;
  readonly journal: Pick<Journal, 'getWorkflow' | 'listWorkflows'>;
  readonly expressions: Pick<Expressions, 'evaluate'>;
  loadWorkflow(hash: string): Promise<Workflow>;
}

interface Starter {
  readonly runId: string;
  readonly state: RunState;
  readonly workflow: Pick<Workflow, 'limits'>;
  readonly nowMs: number;
}

/**
 * A run that another run starts acts for the same principal, with the same scopes, one level deeper, and no longer than the other
 * may (W7, G4). It is pinned to the definition that the name stands for now.
 *
 * @throws GatewayError permission_denied (`policy_denied`, `run_depth_exhausted`), not_found (`workflow_not_found`).
 */
export async function planChildRun(
  { workflow, input = {}, isDetached }: PlannedChild,
  { runId, state, workflow: own, nowMs }: Starter,
  { journal, policy, expressions, loadWorkflow }: SpawnDeps,
): Promise<NewRun> {
  const { namespace, name } = workflow;
  const { identity, granted } = state;
  const lowered = mergeLowered(limitsFor(own.limits, tiesOf(state)), state.lowered);
  const caller = runCaller({ runId, state });
  const stored = await findWorkflow(journal, identity.tenant, workflow);
  requireWorkflow(caller, stored ?? workflow, policy);
  if (identity.depth <= 1) {
    throw new GatewayError('permission_denied', 'Runs that start runs are nested as deep as they may be.', {
      reason: 'run_depth_exhausted',
    });
  }
  if (stored === undefined) {
    throw new GatewayError('not_found', `There is no workflow ${namespace}/${name}@${workflow.version}.`, {
      reason: 'workflow_not_found',
    });
  }
  const { version } = stored;
  const loaded = await loadWorkflow(stored.definition);
  requireAgents(caller, loaded, policy);
  const ownLimits = limitsFor(loaded.limits, { isStartedByRun: true, spendsOfOther: !isDetached });
  const limits = limitsOfRun({
    configured: state.limits,
    workflow: { limits: ownLimits },
    lowered,
    granted,
  });
  const place = await queuePlaceOf(loaded, input, expressions);
  // A run that waited for one which waits for it to leave the queue would wait for ever.
  const around = isDetached ? [] : queuesAround(state);
  const heldTasks = childTasks(limits);
  const isShared = place !== undefined && around.includes(place.name);
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
    queue: isShared ? undefined : place,
    priority: loaded.priority,
    keepEndedMs: loaded.keepEndedMs,
    event: {
      type: 'run-created',
      definition: stored.definition,
      workflow: `${namespace}/${name}:${version}`,
      input,
      identity: {
        ...identity,
        actors: [`workflow:${state.workflow}`, ...identity.actors],
        depth: identity.depth - 1,
        // What nobody waits for may go on when this run and its budget have ended.
        spendsOf: isDetached ? undefined : (identity.spendsOf ?? runId),
        spentBeforeNanoUsd: isDetached ? undefined : identity.spentBeforeNanoUsd,
      },
      limits,
      ...(Object.keys(lowered).length > 0 && { lowered }),
      ...(Object.keys(granted).length > 0 && { granted }),
      deadlineAtMs: Math.min(
        nowMs + limits.maxRunMs,
        isDetached ? Number.POSITIVE_INFINITY : state.deadlineAtMs,
      ),
      ...(Number.isFinite(state.expiresAtMs) && { expiresAtMs: state.expiresAtMs }),
      traceparent: state.traceparent,
      ...(!isDetached && { parent: runId }),
      ...(place !== undefined && { queue: isShared ? { ...place, isShared } : place }),
      rootRun: state.rootRun ?? runId,
      ...(heldTasks !== undefined && { heldTasks }),
      ...(around.length > 0 && { queuesAround: around }),
    },
  };
}

/** Queues that runs are in which wait for what this one starts. */
function queuesAround({ queue, queuesAround: outer }: RunState): string[] {
  return queue === undefined || queue.isShared ? [...outer] : [...outer, queue.name];
}
