import { createHash } from 'node:crypto';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type Envelope, type GatewayName, narrow } from '@strata/shared/identity/envelope.ts';
import type { LiveCaller, LiveCalls } from '@strata/shared/identity/live-calls.ts';
import type { CoveredRun } from '@strata/shared/money/run-budgets.ts';
import type { CallContext, CallNarrowing, Effects } from '../domain/effect.ts';
import { toRunError } from '../domain/run-error.ts';
import type { RunEvent } from '../domain/run-events.ts';
import type { OpenTask, RunState } from '../domain/run-state.ts';
import type { PlannedCall } from '../domain/task-type.ts';
import { ProgressBuffer } from './progress-buffer.ts';
import { runCaller, runEnvelope } from './run-caller.ts';
import type { CallTrace } from './run-trace.ts';

export type IssueEnvelope = (
  envelope: Omit<Envelope, 'issuer'>,
  audience: GatewayName,
  run: CoveredRun,
) => Promise<string>;

export interface RetrySettings {
  readonly maxAttempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export interface PerformDeps {
  readonly effects: Effects;
  readonly issueEnvelope: IssueEnvelope;
  /** Names the run's budget in it. */
  readonly coverEnvelope: (envelope: Envelope, run: CoveredRun) => Promise<Envelope>;
  readonly clock: Clock;
  readonly live: LiveCalls;
  /** Whether whom the run acts for may still act. */
  readonly isUsable: (caller: LiveCaller) => Promise<boolean>;
  readonly retry: () => RetrySettings;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
}

export interface Attempt {
  readonly runId: string;
  readonly state: RunState;
  readonly task: OpenTask;
  readonly call: PlannedCall;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly trace: CallTrace;
  readonly onProgress: (text: string) => void;
}

/**
 * The key of a call: stable across attempts and workers, different for every visit of the task and every call in it (W5). A digest,
 * because a path may hold what a header may not.
 */
export function idempotencyKeyOf(runId: string, task: { path: string; visit: number }, call: string): string {
  const digest = createHash('sha256').update(`${task.path}\n${task.visit}\n${call}`).digest('hex');
  return `${runId}-${digest.slice(0, 32)}`;
}

/** Makes one attempt at one call and gives the record of how it went. Never rejects. */
export async function performCall(attempt: Attempt, deps: PerformDeps): Promise<RunEvent> {
  const { state, task, call, trace } = attempt;
  const revoked = new AbortController();
  const caller = liveCaller(state);
  const live = deps.live.add({ caller, abort: reason => revoked.abort(reason) });
  const of = { path: task.path, visit: task.visit, call: call.id };
  const progress = new ProgressBuffer(deps.clock, attempt.onProgress);
  try {
    if (!(await deps.isUsable(caller))) throw keyRevoked();
    const effect = deps.effects.get(call.effect);
    if (effect === undefined) throw new Error(`No effect '${call.effect}'`);
    const signal = AbortSignal.any([attempt.signal, revoked.signal]);
    const context = createContext({ ...attempt, signal, onProgress: text => progress.add(text) }, deps);
    const { result, costNanoUsd, usage } = await effect.perform(call.request, context);
    const size = JSON.stringify(result)?.length ?? 0;
    if (size > state.limits.maxValueBytes) throw tooLarge(size, state.limits.maxValueBytes);
    trace.succeeded(costNanoUsd);
    return {
      type: 'call-completed',
      ...of,
      result: result ?? null,
      ...(costNanoUsd !== undefined && { costNanoUsd: costNanoUsd.toString() }),
      ...(usage !== undefined && { usage }),
    };
  } catch (error) {
    const known = GatewayError.from(error);
    trace.failed(known);
    // Nothing was done: what is asked for again once somebody has paid is asked for the first time ($-1).
    if (known.kind === 'budget_exceeded')
      return { type: 'call-held', ...of, error: toRunError(known, task.path) };
    const delayMs = retryDelay(known, attempt, deps);
    return {
      type: 'call-failed',
      ...of,
      error: toRunError(known, task.path),
      ...(delayMs !== undefined && { retryAtMs: deps.clock.now() + delayMs }),
    };
  } finally {
    progress.flush();
    live.leave();
  }
}

function createContext(
  { runId, state, task, call, signal, trace, onProgress }: Attempt,
  deps: PerformDeps,
): CallContext {
  return {
    runId,
    workflow: state.workflow,
    identity: state.identity,
    taskPath: task.path,
    idempotencyKey: idempotencyKeyOf(state.keyRun ?? runId, task, call.id),
    traceparent: trace.traceparent,
    signal,
    maxResultBytes: state.limits.maxValueBytes,
    envelope: (audience, narrowing) =>
      deps.issueEnvelope(envelopeOf({ runId, state, task }, narrowing), audience, coveredRun(runId, state)),
    payer: async () => {
      const envelope = envelopeOf({ runId, state, task }, {});
      return {
        ...runCaller({ runId, state }),
        envelope: await deps.coverEnvelope(envelope, coveredRun(runId, state)),
      };
    },
    progress: onProgress,
    annotate: trace.annotate,
  };
}

function liveCaller({ identity }: RunState): LiveCaller {
  const { tenant, principal, keyId, isForeign } = identity;
  return { tenant, principal, keyId, ...(isForeign && { envelope: { runId: undefined, isForeign } }) };
}

/** A run may have slept since its key was stopped. What it calls may not ask who it is, so it is not called. */
function keyRevoked(): GatewayError {
  return new GatewayError('unauthenticated', 'The key or the principal that the run acts for was stopped.', {
    reason: 'key_revoked',
  });
}

/** A run that somebody waits for spends what that one was given; what a moved one had spent before it came is gone. */
function coveredRun(runId: string, { identity, limits }: RunState): CoveredRun {
  const { spendsOf = runId, spentBeforeNanoUsd = '0' } = identity;
  if (limits.maxCostNanoUsd === undefined) return { runId: spendsOf, limitNanoUsd: undefined };
  const left = BigInt(limits.maxCostNanoUsd) - BigInt(spentBeforeNanoUsd);
  return { runId: spendsOf, limitNanoUsd: left > 0n ? left : 0n };
}

/** The run's own envelope, then what this call needs of it: nothing is ever added (W7). */
function envelopeOf(
  { runId, state, task }: { runId: string; state: RunState; task: OpenTask },
  { actor, scopes }: CallNarrowing,
): Envelope {
  const run = runEnvelope({ runId, state });
  const workflowActor = `workflow:${state.workflow}`;
  const own: Envelope = {
    ...run,
    actors: actor === undefined ? run.actors : [workflowActor, ...run.actors],
    taskId: task.path,
  };
  const deadlineAtMs = task.deadlineAtMs ?? state.deadlineAtMs;
  return narrow(own, {
    actor: actor ?? workflowActor,
    deadlineAtMs,
    ...(scopes !== undefined && { scopes }),
  });
}

/** Failures before anything was sent; these repeat nothing. */
const notSent = new Set([
  'upstream_refused',
  'upstream_connect_timeout',
  'upstream_dns',
  'store_unavailable',
]);

function retryDelay(
  error: GatewayError,
  { call, attempt, signal }: Attempt,
  deps: PerformDeps,
): number | undefined {
  const { maxAttempts, firstDelayMs, maxDelayMs } = deps.retry();
  const mayRepeat = call.inDoubt === 'retry' || notSent.has(error.reason) || error.kind === 'rate_limited';
  if (signal.aborted || !error.retryable || !mayRepeat || attempt >= maxAttempts) return undefined;
  const backoffMs = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1));
  const jitteredMs = Math.round(backoffMs * (0.5 + deps.random() / 2));
  return Math.max(jitteredMs, Math.min(error.retryAfterMs ?? 0, maxDelayMs));
}

function tooLarge(size: number, limit: number): GatewayError {
  return new GatewayError('too_large', `The result has ${size} bytes; a recorded value may have ${limit}.`, {
    reason: 'value_too_large',
  });
}
