import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Attempt, Gate } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { placeId } from '../domain/route.ts';

/**
 * A target that asked for a pause gets it, and so does a key of a pool that was refused: until then attempts fail here at once, so the next target answers, or the client
 * learns how long to wait. Only a provider's own `Retry-After` counts, and only for limits of rate: those are the account's,
 * never the fault of one caller.
 */
export function createRest(deps: { clock: Clock }): Gate {
  const restsUntilMs = new Map<string, number>(); // one entry a configured target and credential
  return attempt => {
    const { target } = attempt;
    const id = placeId(target, attempt.credential);
    const until = restsUntilMs.get(id);
    if (until !== undefined) {
      const leftMs = until - deps.clock.monotonic();
      if (leftMs > 0) throw stillResting(target.provider.name, leftMs);
      restsUntilMs.delete(id);
    }
    return {
      answered() {},
      failed(error) {
        const restMs = askedPause(error) ?? (isOfPool(attempt) ? refusedPause(error) : undefined);
        if (restMs !== undefined) restsUntilMs.set(id, deps.clock.monotonic() + restMs);
      },
    };
  };
}

/** How long a key that was refused is left alone while others of its pool may do. */
const refusedMs = 60_000;

function isOfPool({ target }: Attempt): boolean {
  return target.provider.credentials.length > 1;
}

function refusedPause(error: unknown): number | undefined {
  if (!(error instanceof AttemptFailure) || error.status === undefined) return undefined;
  return error.class === 'credential' || error.class === 'quota' ? refusedMs : undefined;
}

function askedPause(error: unknown): number | undefined {
  if (!(error instanceof AttemptFailure) || error.class !== 'rate-limited') return undefined;
  return error.error.retryAfterMs;
}

function stillResting(provider: string, retryAfterMs: number): AttemptFailure {
  const error = new GatewayError('rate_limited', `The provider '${provider}' asked for a pause.`, {
    reason: 'upstream_rate_limited',
    retryAfterMs,
  });
  return new AttemptFailure('rate-limited', error);
}
