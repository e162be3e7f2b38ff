import type { Clock } from '@strata/shared/clock.ts';
import { pricesOfService } from '@strata/shared/money/price.ts';
import type { AskedTier } from '../domain/given-service-tier.ts';
import { givenServiceTier } from '../domain/given-service-tier.ts';
import { chooseWay, type Protocols } from './choose-way.ts';

/** Whether the request loses its tier on the way is looked up only where that decides: of a tier that has no price. */
export function createAskedTier(deps: { readonly protocols: Protocols; readonly clock: Clock }): AskedTier {
  return attempt => {
    const { call, target } = attempt;
    const { serviceTier } = call.request;
    const isPriced = pricesOfService(target.prices, serviceTier) !== undefined;
    if (serviceTier === undefined || target.prices === undefined || isPriced) return serviceTier;
    const { losses } = chooseWay(attempt, deps.protocols, deps.clock.now());
    return givenServiceTier({ call, losses }, undefined);
  };
}
