import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Resources that one session, or one listener, may hear of; the same for tasks. */
export const maxSubscriptions = 1000;

export function tooManySubscriptions(param: string): GatewayError {
  return new GatewayError('invalid_request', `No more than ${maxSubscriptions} can be subscribed to.`, {
    reason: 'too_many_subscriptions',
    param,
  });
}
