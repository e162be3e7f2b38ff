import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { outputTokens } from '@strata/shared/money/usage.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import {
  AdaptiveConcurrency,
  type ConcurrencyOptions,
  type Learned,
  type Leave,
} from '@strata/shared/resilience/concurrency.ts';
import type { Answer, Attempt } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { priorityOf } from '../domain/priority.ts';
import { placeId } from '../domain/route.ts';

/** More targets than any configuration has: the raw passage names models of its callers. */
const maxPlaces = 10_000;

/**
 * No more at once at a target than it answers in its usual time (F37): when answers take many times as long, what is too much waits here, a person before an
 * agent before a batch, and what finds no place in time goes to the next target or back to its client.
 */
export function createConcurrency(deps: {
  clock: Clock;
  /** At start. */
  options: ConcurrencyOptions;
}): Stage<Attempt, Answer> {
  const { clock } = deps;
  const places = new Map<string, AdaptiveConcurrency>();

  function placeOf({ target, credential }: Attempt): AdaptiveConcurrency {
    const id = placeId(target, credential);
    const known = places.get(id);
    if (known !== undefined) return known;
    if (places.size >= maxPlaces) forgetIdle(places);
    const made = new AdaptiveConcurrency(deps.options, clock);
    places.set(id, made);
    return made;
  }

  return async (attempt, next) => {
    const place = placeOf(attempt);
    const leave = place.tryEnter() ?? (await enter(place, attempt));
    const startedAtMs = clock.monotonic();
    let answer: Answer;
    try {
      answer = await next();
    } catch (error) {
      leave(learnedFrom(attempt, error));
      throw error;
    }
    const tookMs = clock.monotonic() - startedAtMs;
    if (answer.type === 'stream') {
      const learned = firstEvent(attempt, answer.stream.hasContent, tookMs);
      answer.stream.onEnd(() => leave(learned));
    } else {
      leave(wholeAnswer(attempt, answer, tookMs));
    }
    return answer;
  };
}

async function enter(place: AdaptiveConcurrency, { call }: Attempt): Promise<Leave> {
  try {
    return await place.enter(priorityOf(call), call.signal);
  } catch (error) {
    if (call.signal.aborted) throw error;
    throw new AttemptFailure('at-capacity', GatewayError.from(error));
  }
}

const overloads = new Set([429, 503, 529]);

function learnedFrom({ call }: Attempt, error: unknown): Learned {
  if (call.signal.aborted || !(error instanceof AttemptFailure)) return { outcome: 'ignored' };
  const isLate = error.error.kind === 'timeout';
  const saysSo = error.status !== undefined && overloads.has(error.status) && error.class !== 'quota';
  return { outcome: isLate || saysSo ? 'overloaded' : 'ignored' };
}

function firstEvent({ call }: Attempt, hasContent: boolean, tookMs: number): Learned {
  if (!hasContent) return { outcome: 'ignored' };
  return { outcome: 'ok', kind: `${call.protocol.operation} first event`, took: tookMs };
}

/** A long answer takes long by itself, so where its length is known the time of a token is what counts. */
function wholeAnswer({ call }: Attempt, answer: Answer, tookMs: number): Learned {
  if (answer.type !== 'whole') return { outcome: 'ignored' };
  const usage = answer.facts.report?.usage;
  const tokens = usage === undefined ? 0 : outputTokens(usage);
  if (tokens === 0) return { outcome: 'ok', kind: `${call.protocol.operation} whole`, took: tookMs };
  return { outcome: 'ok', kind: `${call.protocol.operation} token`, took: tookMs / tokens };
}

function forgetIdle(places: Map<string, AdaptiveConcurrency>): void {
  for (const [id, { inFlight }] of places) {
    if (inFlight > 0) continue;
    places.delete(id);
    return;
  }
}
