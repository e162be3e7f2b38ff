import type { Caller } from '@strata/shared/identity/caller.ts';

/** Whose a stored answer is. Nobody else gets it, whatever they know of its id (S-1). */
export interface Owner {
  readonly tenant: string;
  readonly principal: string;
}

export function ownerOf({ tenant, principal }: Caller): Owner {
  return { tenant, principal };
}
