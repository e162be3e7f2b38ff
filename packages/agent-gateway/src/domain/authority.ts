import { rolesOf } from '@strata/shared/admin/route-access.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { PolicyGuard } from '@strata/shared/identity/policy-guard.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { Workflow } from './workflow.ts';

export type Policy = Pick<PolicyGuard, 'require'>;

/** Scopes name workflows as `namespace/name`. @throws GatewayError permission_denied (`workflow_not_allowed`). */
export function requireWorkflowScope(caller: Caller, workflow: { namespace: string; name: string }): void {
  const name = `${workflow.namespace}/${workflow.name}`;
  if (matchesScope(caller.scopes.workflows, name)) return;
  throw new GatewayError('permission_denied', `This key may not use the workflow '${name.slice(0, 200)}'.`, {
    reason: 'workflow_not_allowed',
  });
}

/**
 * Whether the caller may start a run of the workflow: by its scopes and by the policies about it. A refusal is entered in the audit log.
 *
 * @throws GatewayError permission_denied (`policy_denied`).
 */
export function requireWorkflow(
  caller: Caller,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  policy: Policy,
): void {
  policy.require(caller, { kind: 'workflow', name: `${namespace}/${name}` }, 'submit');
}

/** Whether the caller may use the agent, named as `namespace/name`. @throws GatewayError permission_denied (`policy_denied`). */
export function requireAgent(caller: Caller, agent: string, policy: Policy): void {
  policy.require(caller, { kind: 'agent', name: agent }, 'call');
}

/** Who may let a run spend more, as far as the budgets above it have it; whoever submits may not. */
export const moneyRoles = ['owner', 'operator'] as const;

export function mayGrantMoney(caller: Caller): boolean {
  return rolesOf(caller).some(role => moneyRoles.some(each => each === role));
}

/** Every agent of the definition, so that a run which could not come to its end is refused and not begun. */
export function requireAgents(caller: Caller, { tasks }: Workflow, policy: Policy): void {
  for (const { agent } of tasks.values()) if (agent !== undefined) requireAgent(caller, agent, policy);
}
