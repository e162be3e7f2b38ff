import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Caller } from './caller.ts';
import { type Decision, decide, decideByScopes, isSteady, type PolicySet, type Resource } from './policy.ts';

/** The policies in force, asked by every gateway before it does anything for a caller. */
export interface PolicyGuard {
  readonly policies: PolicySet;
  decide(caller: Caller, resource: Resource, operation: string): Decision;
  /** @throws GatewayError permission_denied (`policy_denied`) with the rule that decided. */
  require(caller: Caller, resource: Resource, operation: string): void;
}

/** What was refused to whom, and by which rule. */
export interface Denial {
  readonly caller: Caller;
  readonly resource: Resource;
  readonly operation: string;
  readonly decision: Decision;
}

/** A caller asks for few resources; one that goes through many gets no more memory for it. */
const maxKeptPerCaller = 256;

/**
 * A decision that does not depend on the request is kept with the caller, which is one object for as long as its key is unchanged: what
 * was decided is forgotten with the version of the key that it was decided for.
 */
export function createPolicyGuard(options: {
  gateway: string;
  policies: PolicySet;
  clock: Clock;
  /** Told of every refusal: the audit's place. */
  onDenied?: ((denial: Denial) => void) | undefined;
}): PolicyGuard {
  const { gateway, policies, clock, onDenied } = options;
  const kept = new WeakMap<Caller, Map<string, Decision>>();

  function decideNow(caller: Caller, resource: Resource, operation: string): Decision {
    return decide(policies, caller, resource, { gateway, operation, nowMs: clock.now() });
  }

  function decideOnce(caller: Caller, resource: Resource, operation: string): Decision {
    if (policies.rules.length === 0) return decideByScopes(caller, resource);
    const name = nameOf(resource);
    let decisions = kept.get(caller);
    const known = decisions?.get(name);
    if (known !== undefined) return known;
    const decision = decideNow(caller, resource, operation);
    if (!isSteady(policies, caller, resource)) return decision;
    decisions ??= new Map();
    kept.set(caller, decisions);
    if (decisions.size >= maxKeptPerCaller) decisions.clear();
    decisions.set(name, decision);
    return decision;
  }

  return {
    policies,
    decide: decideOnce,
    require(caller, resource, operation) {
      const decision = decideOnce(caller, resource, operation);
      const { isAllowed, reason, rule } = decision;
      if (isAllowed) return;
      onDenied?.({ caller, resource, operation, decision });
      throw new GatewayError(
        'permission_denied',
        `The ${resource.kind} '${resource.name.slice(0, 200)}' may not be used: ${explanations[reason]} (${rule}).`,
        { reason: 'policy_denied', details: { decision: reason, rule } },
      );
    },
  };
}

const explanations: Readonly<Record<Decision['reason'], string>> = {
  allowed: 'nothing forbids it',
  not_in_scopes: 'the scopes do not allow it',
  denied_by_policy: 'a policy forbids it',
  no_policy_allows: 'no policy allows it',
};

function nameOf({ kind, name, attributes }: Resource): string {
  return attributes === undefined ? `${kind} ${name}` : JSON.stringify([kind, name, attributes]);
}
