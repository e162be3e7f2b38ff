import type { Credential, ModelProvider } from '../domain/provider.ts';
import type { Target } from '../domain/route.ts';

/** A target with one of its credentials. */
export interface Place {
  readonly target: Target;
  readonly credential: Credential;
}

/** Whose turn it is in each provider's pool of credentials. */
export type Turns = WeakMap<ModelProvider, number>;

/** Each request begins with the next credential of a pool; the others stand in for it. */
export function placesOf(targets: readonly Target[], turns: Turns): Place[] {
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
