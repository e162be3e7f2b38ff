import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Breaker } from '@strata/shared/resilience/breaker.ts';
import { type Gate, lastingOf } from '../domain/call.ts';
import { AttemptFailure, type FailureClass, failureTable } from '../domain/failure.ts';
import { placeId } from '../domain/route.ts';

/**
 * Keeps attempts away from a target that fails again and again: they fail here at once and the next target answers. Only what
 * the failure table counts against a target opens its circuit, so one bad caller never cools it down.
 */
export function createBreakerGate(deps: { breaker: Breaker }): Gate {
  const { breaker } = deps;
  return attempt => {
    const { provider } = attempt.target;
    const id = placeId(attempt.target, attempt.credential);
    const verdict = breaker.ask(id);
    if (typeof verdict === 'object') throw resting(provider.name, verdict.retryAfterMs);
    const failed = (failure: FailureClass | undefined) => {
      if (failure === undefined) breaker.abandoned(id);
      else if (failureTable[failure].countsAgainstTarget) breaker.failed(id);
      else if (verdict === 'probe') breaker.succeeded(id); // it refused, so it is there
    };
    return {
      answered(answer) {
        breaker.succeeded(id);
        lastingOf(answer)?.onEnd(({ outcome, failure }) => {
          if (outcome === 'cut') failed(failure);
        });
      },
      failed: error => failed(attempt.call.signal.aborted ? undefined : AttemptFailure.from(error).class),
    };
  };
}

function resting(provider: string, retryAfterMs: number): AttemptFailure {
  const error = new GatewayError(
    'overloaded',
    `The provider '${provider}' failed repeatedly and is left alone for now.`,
    {
      reason: 'target_resting',
      retryAfterMs,
    },
  );
  return new AttemptFailure('not-asked', error, { wasAsked: false });
}
