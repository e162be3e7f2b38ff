import type { SpanContext } from '@opentelemetry/api';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { maxEnvelopeDepth } from '@strata/shared/identity/envelope.ts';
import { newId } from '@strata/shared/ids.ts';
import type { NewRun } from '../domain/append.ts';
import { type Policy, requireAgents, requireWorkflow, requireWorkflowScope } from '../domain/authority.ts';
import type { Expressions } from '../domain/expressions.ts';
import type { Journal, MadeRun, RunSummary } from '../domain/journal.ts';
import { firstTasks } from '../domain/live-tasks.ts';
import { limitsOfRun } from '../domain/lowered-limits.ts';
import { queuePlaceOf } from '../domain/queue-place.ts';
import type { Fork, RunEvent } from '../domain/run-events.ts';
import type { RunIdentity, RunLimits } from '../domain/run-terms.ts';
import type { LimitOverrides, Workflow } from '../domain/workflow.ts';

export interface Submission {
  readonly workflow: Workflow;
  /** Canonical text of the definition. */
  readonly document: string;
  readonly input: unknown;
  readonly idempotencyKey: string | undefined;
  /** What the idempotency key stands for. */
  readonly digest: string;
  readonly caller: Caller;
  readonly trace: SpanContext;
  /** What it may at most, beside what the configuration and the definition say. */
  readonly limits?: LimitOverrides | undefined;
  /** The id that a thread was taken under. */
  readonly id?: string;
  readonly thread?: string | undefined;
  /** What its `$context` is when it begins. */
  readonly context?: unknown;
  /** It begins with records of another run of the tenant. */
  readonly fork?: Fork;
}

export interface SubmitDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly policy: Policy;
  readonly expressions: Pick<Expressions, 'evaluate'>;
  readonly limits: () => RunLimits;
  /** Writes it down and sees to it that somebody works on it, this process if it has room. */
  readonly createRun: (run: NewRun) => Promise<MadeRun>;
  /** Runs may be due: somebody should claim them. */
  readonly onCreated: () => void;
}

/**
 * Creates a run, once per idempotency key. When this resolves the run is on disk and will be worked on, whatever happens to
 * this process.
 *
 * @throws GatewayError permission_denied (`workflow_not_allowed`, `policy_denied`), conflict (`idempotency_key_reused`), too_large
 *   (`value_too_large`), invalid_request (`concurrency_key_invalid`).
 */
export async function submitRun(
  submission: Submission,
  deps: SubmitDeps,
): Promise<{ isNew: boolean; run: RunSummary }> {
  const { workflow, document, input, caller, idempotencyKey, digest, trace, fork, thread, context } =
    submission;
  requireWorkflowScope(caller, workflow);
  requireWorkflow(caller, workflow, deps.policy);
  requireAgents(caller, workflow, deps.policy);
  const configured = deps.limits();
  const size = JSON.stringify(input).length;
  if (size > configured.maxValueBytes) {
    throw new GatewayError(
      'too_large',
      `The input has ${size} bytes; it may have ${configured.maxValueBytes}.`,
      {
        reason: 'value_too_large',
        param: 'input',
      },
    );
  }
  const { limits: lowered } = submission;
  const limits = limitsOfRun({ configured, workflow, lowered });
  const queue = await queuePlaceOf(workflow, input, deps.expressions);
  const heldTasks = firstTasks(limits);
  const expiresAtMs = caller.envelope?.deadlineAtMs;
  const nowMs = deps.clock.now();
  const { namespace, name, version, hash } = workflow;
  // Both go to the writer at once and so into one transaction.
  const stored = deps.journal.putDefinition({ hash, document }, nowMs);
  const created = deps.createRun({
    id: submission.id ?? newId('run', nowMs),
    tenant: caller.tenant,
    principal: caller.principal,
    definition: hash,
    namespace,
    name,
    version,
    traceId: trace.traceId,
    idempotencyKey,
    requestDigest: digest,
    atMs: nowMs,
    queue,
    priority: workflow.priority,
    keepEndedMs: workflow.keepEndedMs,
    fork: fork && beginOfFork(fork, { by: caller.principal, limits, trace, nowMs }),
    event: {
      type: 'run-created',
      definition: hash,
      workflow: `${namespace}/${name}:${version}`,
      input,
      identity: identityOf(caller),
      limits,
      ...(lowered !== undefined && { lowered }),
      deadlineAtMs: nowMs + limits.maxRunMs,
      ...(expiresAtMs !== undefined && { expiresAtMs }),
      ...tracedFrom(trace),
      ...(queue !== undefined && { queue }),
      ...(thread !== undefined && { thread }),
      ...(context !== undefined && { context }),
      ...(fork !== undefined && { fork }),
      ...(heldTasks !== undefined && { heldTasks }),
    },
  });
  const [, result] = await Promise.all([stored, created]);
  if (result.run.requestDigest !== digest) {
    throw new GatewayError('conflict', 'This idempotency key was used for another submission.', {
      reason: 'idempotency_key_reused',
      param: 'idempotency-key',
    });
  }
  return result;
}

/** A trace that the caller did not bring begins with the run. */
export function tracedFrom(trace: SpanContext): { traceparent: string; isFirstOfTrace?: true } {
  return { traceparent: formatTraceparent(trace), ...(trace.isRemote === false && { isFirstOfTrace: true }) };
}

function beginOfFork(
  { run, to }: Fork,
  { by, limits, trace, nowMs }: { by: string; limits: RunLimits; trace: SpanContext; nowMs: number },
): NewRun['fork'] {
  const event: RunEvent = {
    type: 'run-forked',
    run,
    by,
    limits,
    deadlineAtMs: nowMs + limits.maxRunMs,
    ...tracedFrom(trace),
  };
  return { runId: run, to, record: { kind: event.type, payload: JSON.stringify(event), atMs: nowMs } };
}

/** A run that another gateway or agent starts gets what its envelope has left, and no more (W7). */
export function identityOf(caller: Caller): RunIdentity {
  const { tenant, team, project, principal, principalKind, tags, keyId, scopes, envelope } = caller;
  return {
    tenant,
    team,
    project,
    principal,
    principalKind,
    tags,
    keyId,
    scopes,
    ...(envelope?.isForeign && { isForeign: true as const }),
    actors: envelope?.actors ?? [],
    depth: envelope?.depth ?? maxEnvelopeDepth,
    ...(envelope?.grant && {
      budget: { id: envelope.grant.id, remainingNanoUsd: String(envelope.grant.remainingNanoUsd) },
    }),
  };
}
