import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { RequestFrame } from '../domain/frame.ts';
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

interface Asking {
  readonly caller: Caller;
  readonly frame: RequestFrame;
  readonly policy: DispatchDeps['policy'];
}

/** Whether a caller may be told what happens at a server: by the method it asks with, and by the one that would ask for each. */
export function mayHearOf({ caller, frame, policy }: Asking, server: string, method: string): boolean {
  if (!matchesScope(caller.scopes.servers, server)) return false;
  try {
    for (const operation of [frame.method, method])
      policy.require(caller, { kind: 'server', name: server }, operation);
    return true;
  } catch (error) {
    if (GatewayError.from(error).reason === 'policy_denied') return false;
    throw error;
  }
}
