import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { afterFailure, afterThrottling, backoffMs } from '@strata/shared/resilience/backoff.ts';
import type { Answer, Brought, Call } from '../domain/call.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import { describeLosses } from '../domain/losses.ts';
import { orderTargets, type Target } from '../domain/route.ts';
import { type Place, placesOf, type Turns } from './places.ts';
import {
  type AttemptPolicy,
  type AttemptsDeps,
  type Failed,
  hasNoneLeft,
  hedgeOf,
  type Progress,
  quotaKey,
  takeQuota,
  tryPlace,
  tryTwoPlaces,
} from './try-places.ts';

/** The first round is no retry: there is nothing to give back. */
const noRetry = () => {};

/** An upstream's own refusal, which the client gets in place of an answer. */
type Refusal = Extract<Answer, { type: 'refusal' }>;

/**
 * The only loop of the gateway (AI-1): it ends with the first answer, and an answer exists only once its first meaningful
 * event is here, so nothing is ever tried again after a byte went to the client.
 *
 * A round tries the targets in order, at once, each that the failures so far leave any hope for, with as many of its credentials
 * as it takes. A kept connection that was closed as it was used costs one more attempt at the same place (F45). Between rounds it waits,
 * with jitter, and each further round must be granted by the retry budget. The failure table decides what is hopeless.
 *
 * A route may say after which time of silence the next place is asked too: then the first answer counts, and the other attempt is
 * called off and booked for what it used (F37).
 */
export function createAttempts<Result extends Brought>(
  deps: AttemptsDeps<Result>,
): (call: Call) => Promise<Result | Refusal> {
  const turns: Turns = new WeakMap();
  return call => goRounds(deps, call, turns);
}

async function goRounds<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  call: Call,
  turns: Turns,
): Promise<Result | Refusal> {
  const policy = deps.policy();
  const state: Progress = {
    places: placesOf(orderTargets(call.targets, deps.random), { turns, restMs: deps.restMs }),
    last: undefined,
    number: 0,
    unasked: 0,
    paid: undefined,
  };
  const callEnded = deps.budget.begin();
  try {
    for (let round = 0; round < policy.maxRounds; round++) {
      if (state.places.length === 0 || hasNoneLeft(state, policy)) break;
      const ended = round === 0 ? noRetry : await mayGoOn(deps, policy, { call, round, state });
      if (ended === undefined) break;
      let answer: Result | Refusal | undefined;
      try {
        answer = await goRound(deps, policy, call, state);
      } finally {
        ended();
      }
      if (answer === undefined) continue;
      deps.quota.succeeded(state.paid?.key ?? quotaKey(answer.attempt), state.paid?.cost);
      return answer;
    }
  } finally {
    callEnded();
  }
  return answerFailure(call, state.last);
}

/** Tries the places in order. Undefined when none answered; then `state` says who may be asked again. */
async function goRound<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  call: Call,
  state: Progress,
): Promise<Result | Refusal | undefined> {
  const hopeful: Place[] = [];
  const waiting = [...state.places];
  let passedBy: Target | undefined;
  for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
    if (hasNoneLeft(state, policy)) break;
    if (place.target === passedBy) continue;
    const trying = { call, state, place, waiting };
    const when = hedgeOf(trying);
    const outcomes =
      when === undefined
        ? [await tryPlace(deps, policy, trying)]
        : await tryTwoPlaces(deps, policy, { ...trying, when });
    for (const tried of outcomes) {
      const { attempt, result } = tried;
      if (!(result instanceof AttemptFailure)) return result;
      state.last = moreTelling(state.last, { attempt, failure: result });
      const row = failureTable[result.class];
      if (!row.tryNext) return answerFailure(call, { attempt, failure: result });
      if (row.retrySame) hopeful.push(tried.place);
      if (!row.tryOtherCredential) passedBy = tried.place.target;
    }
  }
  state.places = hopeful;
  return undefined;
}

/** Waits for the next round. Undefined when waiting is not worth it or not granted: then the failure is the answer. */
async function mayGoOn(
  deps: Pick<AttemptsDeps<Brought>, 'budget' | 'quota' | 'clock' | 'random'>,
  policy: AttemptPolicy,
  { call, round, state }: { call: Call; round: number; state: Progress },
): Promise<(() => void) | undefined> {
  const { last } = state;
  const askedMs = last?.failure.error.retryAfterMs ?? 0;
  if (askedMs > policy.maxWaitMs) return undefined;
  const retried = deps.budget.tryRetry();
  if (retried === undefined) return undefined;
  const isThrottled = last?.failure.class === 'rate-limited';
  if (last !== undefined && !takeQuota(deps, state, last.attempt, isThrottled ? 'throttle' : 'failure')) {
    retried();
    return undefined;
  }
  const pace = isThrottled ? afterThrottling : afterFailure;
  const ownMs = backoffMs(round, { ...pace, capMs: policy.maxWaitMs }, deps.random);
  try {
    await deps.clock.sleep(Math.max(askedMs, ownMs), call.signal);
    return retried;
  } catch {
    retried();
    throw GatewayError.from(call.signal.reason); // the only way a sleep fails
  }
}

/** A target that was not even asked says less than one that answered. */
function moreTelling(before: Failed | undefined, now: Failed): Failed {
  return before?.failure.status !== undefined && now.failure.status === undefined ? before : now;
}

/** The upstream's own words where they help the client, else an error of the gateway with the list of causes. */
function answerFailure(call: Call, failed: Failed | undefined): Refusal {
  if (failed === undefined) {
    throw new GatewayError('internal', 'No attempt was made', { reason: 'no_attempt_made' });
  }
  const { attempt, failure } = failed;
  const { refusal, error } = failure;
  if (refusal !== undefined) return { type: 'refusal', attempt, refusal };
  // What was refused may be what is left of the request.
  if (attempt.losses.length > 0) call.replyHeaders['x-strata-changed'] = describeLosses(attempt.losses);
  throw new GatewayError(error.kind, error.message, {
    reason: error.reason,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    ...(error.param !== undefined && { param: error.param }),
    details: { ...error.details, attempts: call.failures },
    cause: error,
  });
}
