import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { PolicyGuard } from '@strata/shared/identity/policy-guard.ts';
import type { Gate } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { mayUse } from '../domain/route.ts';

/**
 * Asks before every attempt, not once a request, whether the caller may use the model (A13), and whether a policy forbids it at this very
 * target: then the next one is tried.
 */
export function createAuthorize(policy: Pick<PolicyGuard, 'require'>): Gate {
  return attempt => {
    const { caller, route, protocol } = attempt.call;
    if (!mayUse(caller.scopes.models, route.alias)) throw notAllowed(route.alias);
    const { provider, model } = attempt.target;
    const attributes = { provider: provider.name, model };
    try {
      policy.require(caller, { kind: 'model', name: route.alias, attributes }, protocol.name);
    } catch (error) {
      throw new AttemptFailure('credential', GatewayError.from(error), { wasAsked: false });
    }
    return undefined;
  };
}

function notAllowed(alias: string): AttemptFailure {
  const error = new GatewayError('permission_denied', `This key may not use the model '${alias}'.`, {
    reason: 'model_not_allowed',
    param: 'model',
  });
  return new AttemptFailure('caller-fault', error, { wasAsked: false });
}
