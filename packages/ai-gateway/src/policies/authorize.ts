import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import type { Answer, Attempt } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { mayUse } from '../domain/route.ts';

/** Asks before every attempt, not once a request, whether the caller may use the model (A13). */
export const authorize: Stage<Attempt, Answer> = (attempt, next) => {
  const { caller, route } = attempt.call;
  if (mayUse(caller.scopes.models, route.alias)) return next();
  const error = new GatewayError('permission_denied', `This key may not use the model '${route.alias}'.`, {
    reason: 'model_not_allowed',
    param: 'model',
  });
  return Promise.reject(new AttemptFailure('caller-fault', error));
};
