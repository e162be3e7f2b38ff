import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { DispatchDeps, Request, Target } from './request.ts';

/** @throws GatewayError permission_denied (`policy_denied`) */
export function askPolicies({ caller, frame }: Request, { policy }: DispatchDeps, target: Target): void {
  const { server, exposedName: name } = target;
  policy.require(caller, { kind: 'server', name: server }, frame.method);
  if (frame.method !== 'tools/call') return;
  policy.require(caller, { kind: 'tool', name, attributes: { server } }, frame.method);
}

/** What the key allows may have become less since the name was found. */
export function isStillAllowed({ caller, frame }: Request, target: Target): boolean {
  if (!matchesScope(caller.scopes.servers, target.server)) return false;
  const isNamed = frame.method === 'tools/call' || frame.method === 'prompts/get';
  return !isNamed || matchesScope(caller.scopes.tools, target.exposedName);
}
