import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { HedgeBudget } from '@strata/shared/resilience/hedge-budget.ts';
import type { RetryBudget } from '@strata/shared/resilience/retry-budget.ts';
import type { RetryQuota } from '@strata/shared/resilience/retry-quota.ts';
import { Stopper } from '@strata/shared/resilience/stop-signal.ts';
import { type Attempt, type Brought, type Call, discard, maySafelyRepeat } from '../domain/call.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import type { Hedge } from '../domain/route.ts';
import { hedge, type Started } from './hedge.ts';
import type { Place, RestMs } from './places.ts';

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
  /** A credential of a pool that rests is not even tried. */
  readonly restMs: RestMs;
  /** Bounds what is asked of two places at once. */
  readonly hedges: HedgeBudget;
  /** From 0 up to 1, for jitter. */
  random(): number;
}

/** What the rounds so far have left. */
export interface Progress {
  places: readonly Place[];
  last: Failed | undefined;
  number: number;
  /** How many of them asked nothing of a target: they do not count. */
  unasked: number;
  /** What the last retry took from the quota; it comes back when the retry succeeds. */
  paid: { readonly key: string; readonly cost: number } | undefined;
}

export interface Failed {
  readonly attempt: Attempt;
  readonly failure: AttemptFailure;
}

export interface Tried<Result extends Brought> {
  readonly place: Place;
  readonly attempt: Attempt;
  readonly result: Result | AttemptFailure;
}

export interface Trying {
  readonly call: Call;
  readonly state: Progress;
  readonly place: Place;
  /** The places after it. One that is tried is taken out. */
  readonly waiting: Place[];
}

/** How the place after this one may be asked too while this one is silent; undefined where it may not. */
export function hedgeOf({ call, waiting }: Trying): Hedge | undefined {
  return waiting.length > 0 && maySafelyRepeat(call) ? call.route.hedge : undefined;
}

/** What came of the place, and of the one after it when the first was silent for too long. */
export async function tryTwoPlaces<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  { call, state, place, waiting, when }: Trying & { readonly when: Hedge },
): Promise<readonly Tried<Result>[]> {
  const { alias } = call.route;
  deps.hedges.asked(alias, when.maxShare);
  return hedge({
    clock: deps.clock,
    afterMs: when.afterMs,
    first: start(deps, policy, { call, state, place }),
    startSecond() {
      if (hasNoneLeft(state, policy) || call.signal.aborted || !deps.hedges.tryHedge(alias)) return;
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

/** Whether no further attempt may be made. */
export function hasNoneLeft({ number, unasked }: Progress, { maxAttempts }: AttemptPolicy): boolean {
  return number - unasked >= maxAttempts;
}

export async function tryPlace<Result extends Brought>(
  deps: AttemptsDeps<Result>,
  policy: AttemptPolicy,
  { call, state, place }: Omit<Trying, 'waiting'>,
): Promise<Tried<Result>> {
  const attempt = openAttempt(call, place, ++state.number);
  let failure: AttemptFailure;
  try {
    return { place, attempt, result: await deps.perform(attempt) };
  } catch (error) {
    failure = noteFailure(attempt, state, error);
  }
  const isRepeated =
    failureTable[failure.class].repeatAtOnce &&
    !hasNoneLeft(state, policy) &&
    takeQuota(deps, state, attempt, 'failure');
  if (!isRepeated) return { place, attempt, result: failure };
  const again = openAttempt(call, place, ++state.number);
  return {
    place,
    attempt: again,
    result: await deps.perform(again).catch(error => noteFailure(again, state, error)),
  };
}

function openAttempt(call: Call, { target, credential }: Place, number: number): Attempt {
  const id = `${call.requestId}.${number}`;
  return { call, target, credential, number, id, trace: call.trace, losses: [] };
}

/** @throws GatewayError when nobody waits for another attempt. */
function noteFailure({ call, target }: Attempt, state: Progress, error: unknown): AttemptFailure {
  const failure = AttemptFailure.from(error);
  if (!failure.wasAsked) state.unasked++;
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

export function quotaKey({ call, target }: Attempt): string {
  return `${call.caller.tenant} ${target.provider.name}`;
}

export function takeQuota(
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
