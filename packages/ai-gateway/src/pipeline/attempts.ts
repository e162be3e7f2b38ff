import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { afterFailure, afterThrottling, backoffMs } from '@strata/shared/resilience/backoff.ts';
import type { HedgeBudget } from '@strata/shared/resilience/hedge-budget.ts';
import type { RetryBudget } from '@strata/shared/resilience/retry-budget.ts';
import type { RetryQuota } from '@strata/shared/resilience/retry-quota.ts';
import { Stopper } from '@strata/shared/resilience/stop-signal.ts';
import {
  type Answer,
  type Attempt,
  type Brought,
  type Call,
  discard,
  maySafelyRepeat,
} from '../domain/call.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import type { Credential, ModelProvider } from '../domain/provider.ts';
import { orderTargets, type Target } from '../domain/route.ts';
import { hedge, type Started } from './hedge.ts';

export interface AttemptPolicy {
  /** Over all targets of a call. */
  readonly maxAttempts: number;
  /** How often the list of targets is gone through. */
  readonly maxRounds: number;
  /** A longer wait than this is the client's to make. */
  readonly maxWaitMs: number;
}

export interface AttemptsDeps<Result extends Brought> {
  readonly clock: Clock;
  /** Read once a call. */
  policy(): AttemptPolicy;
  /** One attempt with all its stages. @throws AttemptFailure */
  perform(attempt: Attempt): Promise<Result>;
  /** Shared by all calls: bounds the retries under way. */
  readonly budget: RetryBudget;
  /** Bounds them over time, for each tenant at each provider: what keeps failing is asked little more than clients ask (F36). */
  readonly quota: RetryQuota;
  /** Bounds what is asked of two places at once. */
  readonly hedges: HedgeBudget;
  /** From 0 up to 1, for jitter. */
  random(): number;
}

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
  return async call => {
    const ended = deps.budget.begin();
    try {
      return await goRounds(deps, call, turns);
    } finally {
      ended();
    }
  };
}

/** An upstream's own refusal, which the client gets in place of an answer. */
type Refusal = Extract<Answer, { type: 'refusal' }>;

async function goRounds<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  call: Call,
  turns: Turns,
): Promise<Result | Refusal> {
  const policy = deps.policy();
  const state: Progress = {
    places: placesOf(orderTargets(call.targets, deps.random), turns),
    last: undefined,
    number: 0,
    paid: undefined,
  };
  for (let round = 0; round < policy.maxRounds; round++) {
    if (state.places.length === 0 || state.number >= policy.maxAttempts) break;
    const ended = round === 0 ? firstRound : await mayGoOn(deps, policy, { call, round, state });
    if (ended === undefined) break;
    try {
      const answer = await goRound(deps, policy, call, state);
      if (answer !== undefined) {
        deps.quota.succeeded(state.paid?.key ?? quotaKey(answer.attempt), state.paid?.cost);
        return answer;
      }
    } finally {
      ended();
    }
  }
  return answerFailure(call, state.last);
}

/** The first round is no retry: there is nothing to give back. */
const firstRound = () => {};

/** A target with one of its credentials. */
interface Place {
  readonly target: Target;
  readonly credential: Credential;
}

/** Whose turn it is in each provider's pool of credentials. */
type Turns = WeakMap<ModelProvider, number>;

/** Each request begins with the next credential of a pool; the others stand in for it. */
function placesOf(targets: readonly Target[], turns: Turns): Place[] {
  const [first] = targets;
  if (targets.length === 1 && first?.provider.credentials.length === 1)
    return [{ target: first, credential: first.provider.credentials[0] }];
  return targets.flatMap(target => {
    const { credentials } = target.provider;
    const turn = turns.get(target.provider) ?? 0;
    turns.set(target.provider, (turn + 1) % credentials.length);
    return [...credentials.slice(turn), ...credentials.slice(0, turn)].map(credential => ({
      target,
      credential,
    }));
  });
}

/** What the rounds so far have left. */
interface Progress {
  places: readonly Place[];
  last: Failed | undefined;
  number: number;
  /** What the last retry took from the quota; it comes back when the retry succeeds. */
  paid: { readonly key: string; readonly cost: number } | undefined;
}

interface Failed {
  readonly attempt: Attempt;
  readonly failure: AttemptFailure;
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
    if (state.number >= policy.maxAttempts) break;
    if (place.target === passedBy) continue;
    for (const tried of await tryPlaces(deps, policy, { call, state, place, waiting })) {
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

interface Tried<Result extends Brought> {
  readonly place: Place;
  readonly attempt: Attempt;
  readonly result: Result | AttemptFailure;
}

interface Trying {
  readonly call: Call;
  readonly state: Progress;
  readonly place: Place;
  /** The places after it. One that is tried is taken out. */
  readonly waiting: Place[];
}

/** What came of the place, and of the one after it when the route would not wait any longer. */
async function tryPlaces<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  { call, state, place, waiting }: Trying,
): Promise<readonly Tried<Result>[]> {
  const { hedge: when, alias } = call.route;
  if (when === undefined || waiting.length === 0 || !maySafelyRepeat(call))
    return [await tryPlace(deps, policy, { call, state, place })];
  deps.hedges.asked(alias, when.maxShare);
  return hedge({
    clock: deps.clock,
    afterMs: when.afterMs,
    first: start(deps, policy, { call, state, place }),
    startSecond() {
      if (state.number >= policy.maxAttempts || call.signal.aborted || !deps.hedges.tryHedge(alias)) return;
      const [next] = waiting.splice(0, 1);
      if (next === undefined) return;
      call.replyHeaders['x-strata-hedged'] = 'true';
      const upstreamMs = call.upstreamMs + when.afterMs; // the first had its time, which is none of the gateway's
      return start(deps, policy, { call: { ...call, upstreamMs }, state, place: next });
    },
    isAnswer: ({ result }) => !(result instanceof AttemptFailure),
    discard: ({ result }) => {
      if (!(result instanceof AttemptFailure)) discard(result);
    },
  });
}

/** An attempt that can be called off while its call goes on. */
function start<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  { call, ...at }: Omit<Trying, 'waiting'>,
): Started<Tried<Result>> {
  const signal = new Stopper();
  const onEnd = () => signal.stop(call.signal.reason);
  call.signal.addEventListener('abort', onEnd);
  const own: Call = { ...call, signal };
  const done = tryPlace(deps, policy, { call: own, ...at }).then(tried => {
    call.upstreamMs = Math.max(call.upstreamMs, own.upstreamMs);
    if (tried.result instanceof AttemptFailure || tried.result.type === 'whole')
      call.signal.removeEventListener('abort', onEnd);
    return tried;
  });
  return {
    done,
    callOff() {
      call.signal.removeEventListener('abort', onEnd);
      signal.stop(new GatewayError('cancelled', 'Another attempt answered first.', { reason: 'hedge_lost' }));
    },
  };
}

async function tryPlace<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  { call, state, place }: Omit<Trying, 'waiting'>,
): Promise<Tried<Result>> {
  let attempt = openAttempt(call, place, ++state.number);
  let result = await tryOnce(deps, attempt);
  if (
    isRepeatable(result) &&
    state.number < policy.maxAttempts &&
    takeQuota(deps, state, attempt, 'failure')
  ) {
    attempt = openAttempt(call, place, ++state.number);
    result = await tryOnce(deps, attempt);
  }
  return { place, attempt, result };
}

function isRepeatable(result: Brought | AttemptFailure): boolean {
  return result instanceof AttemptFailure && failureTable[result.class].repeatAtOnce;
}

function openAttempt(call: Call, { target, credential }: Place, number: number): Attempt {
  const id = `${call.requestId}.${number}`;
  return { call, target, credential, number, id, trace: call.trace, losses: [] };
}

async function tryOnce<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  attempt: Attempt,
): Promise<Result | AttemptFailure> {
  const { call, target } = attempt;
  try {
    return await deps.perform(attempt);
  } catch (error) {
    const failure = AttemptFailure.from(error);
    call.failures.push({
      provider: target.provider.name,
      model: target.model,
      status: failure.status,
      failure: failure.class,
      reason: failure.error.reason,
    });
    if (call.signal.aborted) throw GatewayError.from(call.signal.reason);
    return failure;
  }
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

function quotaKey({ call, target }: Attempt): string {
  return `${call.caller.tenant} ${target.provider.name}`;
}

function takeQuota(
  { quota }: Pick<AttemptsDeps<Brought>, 'quota'>,
  state: Progress,
  attempt: Attempt,
  after: 'failure' | 'throttle',
): boolean {
  const key = quotaKey(attempt);
  const cost = quota.tryRetry(key, after);
  if (cost === undefined) return false;
  state.paid = { key, cost };
  return true;
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
  const { refusal, error } = failed.failure;
  if (refusal !== undefined) return { type: 'refusal', attempt: failed.attempt, refusal };
  throw new GatewayError(error.kind, error.message, {
    reason: error.reason,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    ...(error.param !== undefined && { param: error.param }),
    details: { ...error.details, attempts: call.failures },
    cause: error,
  });
}
