import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { mayUseServer } from '../domain/names.ts';
import type { Upstream } from '../domain/upstream.ts';
import { textParam } from '../wire/frame.ts';
import type { DispatchDeps, Request, Target } from './request.ts';

/** @throws GatewayError permission_denied (`policy_denied`) */
export function askPolicies({ caller, frame }: Request, { policy }: DispatchDeps, target: Target): void {
  const { server, exposedName: name } = target;
  policy.require(caller, { kind: 'server', name: server }, frame.method);
  if (frame.method !== 'tools/call') return;
  policy.require(caller, toolOf(server, name), frame.method);
}

/** What the key allows may have become less since the name was found. */
export function isStillAllowed({ caller, frame }: Request, upstream: Upstream, target: Target): boolean {
  const isNamed = frame.method === 'tools/call' || frame.method === 'prompts/get';
  if (!isNamed) return mayUse(caller, upstream);
  return (
    matchesScope(caller.scopes.servers, target.server) &&
    matchesScope(caller.scopes.tools, target.exposedName)
  );
}

/** Whether the key leads to the server at all: of one of which it may use nothing it sees nothing either. */
function mayUse({ scopes }: Caller, { name, policy }: Upstream): boolean {
  return matchesScope(scopes.servers, name) && mayUseServer(scopes.tools, name, policy.hasPlainNames);
}

/** Whether a call that waited for its client may still be its: the key may have become less meanwhile, or be another of the principal's. */
export function mayGoOn({ caller, frame, policy }: Asking, upstream: Upstream): boolean {
  const { servers, tools } = caller.scopes;
  const { method } = frame;
  const server = upstream.name;
  if (!matchesScope(servers, server)) return false;
  if (!policy.decide(caller, { kind: 'server', name: server }, method).isAllowed) return false;
  if (method === 'resources/read') return mayUse(caller, upstream);
  const name = textParam(frame, 'name') ?? '';
  if (!matchesScope(tools, name)) return false;
  return method !== 'tools/call' || policy.decide(caller, toolOf(server, name), method).isAllowed;
}

function toolOf(server: string, name: string) {
  return { kind: 'tool', name, attributes: { server } } as const;
}

interface Asking {
  readonly caller: Caller;
  readonly frame: RequestFrame;
  readonly policy: DispatchDeps['policy'];
}

/** Whether a caller may begin to listen to a server: by the method it asks with, and by the one that would ask for each. */
export function mayHearOf({ caller, frame, policy }: Asking, upstream: Upstream, method: string): boolean {
  if (!mayUse(caller, upstream)) return false;
  try {
    for (const operation of [frame.method, method])
      policy.require(caller, { kind: 'server', name: upstream.name }, operation);
    return true;
  } catch (error) {
    if (GatewayError.from(error).reason === 'policy_denied') return false;
    throw error;
  }
}

/** Whether it may be told something now; nobody asked, so that it may not is no refusal to be recorded. */
export function mayBeTold(
  caller: Caller,
  policy: DispatchDeps['policy'],
  { upstream, operation }: { readonly upstream: Upstream; readonly operation: string },
): boolean {
  const server = { kind: 'server', name: upstream.name } as const;
  return mayUse(caller, upstream) && policy.decide(caller, server, operation).isAllowed;
}
