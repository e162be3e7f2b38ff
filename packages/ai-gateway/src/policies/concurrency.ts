import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { outputTokens } from '@strata/shared/money/usage.ts';
import {
  AdaptiveConcurrency,
  type ConcurrencyOptions,
  type Learned,
  type Leave,
} from '@strata/shared/resilience/concurrency.ts';
import { type Attempt, type Brought, type Entered, type Gate, lastingOf } from '../domain/call.ts';
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
}): Gate {
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

  function entered(attempt: Attempt, leave: Leave): Entered {
    const startedAtMs = clock.monotonic();
    return {
      answered(answer) {
        const tookMs = clock.monotonic() - startedAtMs;
        const learned = learnedOf(attempt, answer, tookMs);
        const lasting = lastingOf(answer);
        if (lasting === undefined) leave(learned);
        else lasting.onEnd(() => leave(learned));
      },
      failed: error => leave(learnedFrom(attempt, error)),
    };
  }

  return attempt => {
    const place = placeOf(attempt);
    const leave = place.tryEnter();
    if (leave !== undefined) return entered(attempt, leave);
    return enter(place, attempt).then(late => entered(attempt, late));
  };
}

async function enter(place: AdaptiveConcurrency, { call }: Attempt): Promise<Leave> {
  try {
    return await place.enter(priorityOf(call), call.signal);
  } catch (error) {
    if (call.signal.aborted) throw error;
    throw new AttemptFailure('not-asked', GatewayError.from(error), { wasAsked: false });
  }
}

const overloads = new Set([429, 503, 529]);

function learnedFrom({ call }: Attempt, error: unknown): Learned {
  if (call.signal.aborted || !(error instanceof AttemptFailure)) return { outcome: 'ignored' };
  const isLate = error.error.kind === 'timeout';
  const saysSo = error.status !== undefined && overloads.has(error.status) && error.class !== 'quota';
  return { outcome: isLate || saysSo ? 'overloaded' : 'ignored' };
}

function learnedOf({ call }: Attempt, answer: Brought, tookMs: number): Learned {
  const { operation } = call.protocol;
  switch (answer.type) {
    case 'refusal':
      return { outcome: 'ignored' };
    case 'session':
      return { outcome: 'ok', kind: `${operation} opened`, took: tookMs };
    case 'stream':
      if (!answer.stream.hasContent) return { outcome: 'ignored' };
      return { outcome: 'ok', kind: `${operation} first event`, took: tookMs };
    case 'whole': {
      // A long answer takes long by itself, so where its length is known the time of a token is what counts.
      const usage = answer.facts.report?.usage;
      const tokens = usage === undefined ? 0 : outputTokens(usage);
      if (tokens === 0) return { outcome: 'ok', kind: `${operation} whole`, took: tookMs };
      return { outcome: 'ok', kind: `${operation} token`, took: tookMs / tokens };
    }
  }
}

function forgetIdle(places: Map<string, AdaptiveConcurrency>): void {
  for (const [id, { inFlight }] of places) {
    if (inFlight > 0) continue;
    places.delete(id);
    return;
  }
}
