import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { pricesOfService } from '@strata/shared/money/price.ts';
import type { AttemptStage } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { askedServiceTier, asksNoModel } from '../domain/spending.ts';

/** Passes by a target whose cost nobody could count, where the operator wants that ($-2). The next target may have a price. */
export function createRefuseUnpriced(mode: () => 'warn' | 'block'): AttemptStage {
  return (attempt, next) => {
    const { call, target } = attempt;
    if (mode() === 'warn' || asksNoModel(call.protocol, target.provider)) return next();
    if (pricesOfService(target.prices, askedServiceTier(call.request)) !== undefined) return next();
    const error = new GatewayError(
      'permission_denied',
      `The model '${call.route.alias}' has no price for what is asked, and unpriced models are blocked. Ask the operator to set its \`prices\`.`,
      { reason: 'model_unpriced', param: 'model' },
    );
    return Promise.reject(new AttemptFailure('model-gone', error));
  };
}
