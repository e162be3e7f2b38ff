import type { Credential, ModelProvider } from '../domain/provider.ts';
import type { Target } from '../domain/route.ts';

/** A target with one of its credentials. */
export interface Place {
  readonly target: Target;
  readonly credential: Credential;
}

/** Whose turn it is in each provider's pool of credentials: how many requests it has had. */
export type Turns = WeakMap<ModelProvider, number>;

/** How much longer a place is left alone, in milliseconds; 0 when it may be asked. */
export type RestMs = (place: Place) => number;

/**
 * Each request begins with the next credential of a pool; the others stand in for it. Those that rest are no part of it, so that their
 * share falls to all others alike, and none of a request's attempts to them.
 */
export function placesOf(
  targets: readonly Target[],
  { turns, restMs }: { turns: Turns; restMs: RestMs },
): Place[] {
  const [first] = targets;
  if (targets.length === 1 && first?.provider.credentials.length === 1)
    return [{ target: first, credential: first.provider.credentials[0] }];
  return targets.flatMap(target => {
    const pool = target.provider.credentials.map(credential => ({ target, credential }));
    const [only] = pool;
    if (pool.length === 1 && only !== undefined) return [only];
    const awake = awakeOf(pool, restMs);
    const turn = turns.get(target.provider) ?? 0;
    turns.set(target.provider, turn + 1);
    const at = turn % awake.length;
    return [...awake.slice(at), ...awake.slice(0, at)];
  });
}

/** When all rest, the one whose rest ends first: it tells the client why, and for how long. */
function awakeOf(pool: readonly Place[], restMs: RestMs): readonly Place[] {
  const rests = pool.map(place => ({ place, leftMs: restMs(place) }));
  const awake = rests.filter(({ leftMs }) => leftMs === 0);
  if (awake.length > 0) return awake.map(({ place }) => place);
  const [next] = rests.toSorted((left, right) => left.leftMs - right.leftMs);
  return next === undefined ? [] : [next.place];
}
