import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Attempt, Gate } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import type { Credential } from '../domain/provider.ts';
import { refusalError } from '../domain/refusal-error.ts';
import { placeId, type Target } from '../domain/route.ts';

/** Why a place is left alone, and until when. */
interface Rest {
  /** On the monotonic clock. */
  readonly untilMs: number;
  readonly why: 'rate-limited' | 'credential' | 'quota';
}

export interface Rests {
  readonly gate: Gate;
  /** How much longer a place is left alone; 0 when it may be asked. */
  leftMs(place: { readonly target: Target; readonly credential: Credential }): number;
}

/**
 * A target that asked for a pause gets it, and so does a key of a pool that was refused: until then attempts fail here at once, so the next target answers, or the client
 * learns how long to wait. Only a provider's own `Retry-After` counts, and only for limits of rate: those are the account's,
 * never the fault of one caller.
 */
export function createRests({ clock }: { clock: Clock }): Rests {
  const rests = new Map<string, Rest>(); // one entry a configured target and credential

  function current(id: string): (Rest & { readonly leftMs: number }) | undefined {
    const rest = rests.get(id);
    if (rest === undefined) return undefined;
    const leftMs = rest.untilMs - clock.monotonic();
    if (leftMs > 0) return { ...rest, leftMs };
    rests.delete(id);
    return undefined;
  }

  return {
    leftMs: ({ target, credential }) => current(placeId(target, credential))?.leftMs ?? 0,
    gate(attempt) {
      const { target } = attempt;
      const id = placeId(target, attempt.credential);
      const rest = current(id);
      if (rest !== undefined) throw stillResting(target.provider.name, rest);
      return {
        answered() {},
        failed(error) {
          const pause = pauseAfter(attempt, error);
          if (pause !== undefined)
            rests.set(id, { untilMs: clock.monotonic() + pause.restMs, why: pause.why });
        },
      };
    },
  };
}

/** How long a key that was refused is left alone while others of its pool may do. */
const refusedMs = 60_000;

function pauseAfter(
  { target }: Attempt,
  error: unknown,
): { readonly restMs: number; readonly why: Rest['why'] } | undefined {
  if (!(error instanceof AttemptFailure)) return undefined;
  const { class: why, status } = error;
  if (why === 'rate-limited') {
    const { retryAfterMs: restMs } = error.error;
    return restMs === undefined ? undefined : { restMs, why };
  }
  const isRefused = (why === 'credential' || why === 'quota') && status !== undefined;
  const isOfPool = target.provider.credentials.length > 1;
  return isRefused && isOfPool ? { restMs: refusedMs, why } : undefined;
}

function stillResting(
  provider: string,
  { why, leftMs }: { why: Rest['why']; leftMs: number },
): AttemptFailure {
  if (why !== 'rate-limited')
    return new AttemptFailure(why, refusalError(why, { provider, status: 0 }), { wasAsked: false });
  const error = new GatewayError('rate_limited', `The provider '${provider}' asked for a pause.`, {
    reason: 'upstream_rate_limited',
    retryAfterMs: leftMs,
  });
  return new AttemptFailure(why, error, { wasAsked: false });
}
