import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { pricesOfService } from '@strata/shared/money/price.ts';
import type { Gate } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import type { AskedTier } from '../domain/given-service-tier.ts';
import { asksNoModel } from '../domain/spending.ts';

/** Passes by a target whose cost nobody could count, where the operator wants that ($-2). The next target may have a price. */
export function createRefuseUnpriced(mode: () => 'warn' | 'block', askedTier: AskedTier): Gate {
  return attempt => {
    const { call, target } = attempt;
    if (mode() === 'warn' || asksNoModel(call.protocol, target.provider)) return undefined;
    if (pricesOfService(target.prices, askedTier(attempt)) !== undefined) return undefined;
    const error = new GatewayError(
      'permission_denied',
      `The model '${call.route.alias}' has no price for what is asked, and unpriced models are blocked. Ask the operator to set its \`prices\`.`,
      { reason: 'model_unpriced', param: 'model' },
    );
    throw new AttemptFailure('model-gone', error, { wasAsked: false });
  };
}
