import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Answer, Attempt, Call } from '../domain/call.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import type { Target } from '../domain/route.ts';

export interface AttemptPolicy {
  /** Over all targets of a call. */
  readonly maxAttempts: number;
  /** How often the list of targets is gone through. */
  readonly maxRounds: number;
  /** A longer wait than this is the client's to make. */
  readonly maxWaitMs: number;
}

export interface AttemptsDeps {
  readonly clock: Clock;
  /** Read once a call. */
  policy(): AttemptPolicy;
  /** One attempt with all its stages. @throws AttemptFailure */
  perform(attempt: Attempt): Promise<Answer>;
  /** How long to wait before a round, with jitter. */
  backoffMs(round: number): number;
  /** Whether the shared budget of retries allows one more. */
  takeRetry(): boolean;
}

/**
 * The only loop of the gateway (AI-1): it ends with the first answer, and an answer exists only once its first meaningful
 * event is here, so nothing is ever tried again after a byte went to the client.
 *
 * A round tries the targets in order, at once, each that the failures so far leave any hope for. Between rounds it waits,
 * with jitter, and each further round must be granted by the retry budget. The failure table decides what is hopeless.
 */
export function createAttempts(deps: AttemptsDeps): (call: Call) => Promise<Answer> {
  return async call => {
    const policy = deps.policy();
    let targets = call.targets;
    let last: AttemptFailure | undefined;
    let number = 0;
    for (let round = 0; round < policy.maxRounds && targets.length > 0; round++) {
      if (round > 0 && !(await mayGoOn(deps, policy, call, round, last))) break;
      const hopeful: Target[] = [];
      for (const target of targets) {
        if (number >= policy.maxAttempts) break;
        number++;
        const result = await tryTarget(deps, call, target, number);
        if (!(result instanceof AttemptFailure)) return result;
        last = moreTelling(last, result);
        if (!failureTable[result.class].tryNext) return answerFailure(call, result, target);
        if (failureTable[result.class].retrySame) hopeful.push(target);
      }
      targets = hopeful;
    }
    return answerFailure(call, last, call.targets[0]);
  };
}

async function tryTarget(
  deps: AttemptsDeps,
  call: Call,
  target: Target,
  number: number,
): Promise<Answer | AttemptFailure> {
  const attempt: Attempt = { call, target, number, id: `${call.requestId}.${number}`, trace: call.trace };
  try {
    return await deps.perform(attempt);
  } catch (error) {
    if (call.signal.aborted) throw GatewayError.from(call.signal.reason);
    const failure = AttemptFailure.from(error);
    call.failures.push({
      provider: target.provider.name,
      model: target.model,
      status: failure.status,
      failure: failure.class,
      reason: failure.error.reason,
    });
    return failure;
  }
}

/** Waits for the next round. False when waiting is not worth it: then the failure is the answer. */
async function mayGoOn(
  deps: AttemptsDeps,
  policy: AttemptPolicy,
  call: Call,
  round: number,
  last: AttemptFailure | undefined,
): Promise<boolean> {
  const asked = last?.error.retryAfterMs ?? 0;
  if (asked > policy.maxWaitMs || !deps.takeRetry()) return false;
  await deps.clock.sleep(Math.max(asked, deps.backoffMs(round)), call.signal);
  return true;
}

/** A target that was not even tried says less than one that was. */
function moreTelling(before: AttemptFailure | undefined, now: AttemptFailure): AttemptFailure {
  return before !== undefined && now.status === undefined && before.status !== undefined ? before : now;
}

/** The upstream's own words where they help the client, else an error of the gateway with the list of causes. */
function answerFailure(call: Call, failure: AttemptFailure | undefined, target: Target | undefined): Answer {
  if (failure === undefined || target === undefined) {
    throw new GatewayError('internal', 'No attempt was made', { reason: 'no_attempt_made' });
  }
  if (failure.refusal !== undefined) {
    const attempt = { call, target, number: call.failures.length, id: '', trace: call.trace };
    return { type: 'refusal', attempt, refusal: failure.refusal };
  }
  const { error } = failure;
  throw new GatewayError(error.kind, error.message, {
    reason: error.reason,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    ...(error.param !== undefined && { param: error.param }),
    details: { attempts: call.failures },
    cause: error,
  });
}
