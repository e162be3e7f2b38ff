import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { LiveCalls } from '@strata/shared/identity/live-calls.ts';
import { intersectScopes, noScopes } from '@strata/shared/identity/scopes.ts';

export interface FollowDeps {
  readonly live: LiveCalls;
  /** What is left of a caller's scopes under a route. @throws GatewayError not_found (`unknown_namespace`) */
  readonly callerAt: (caller: Caller, route: string) => Caller;
}

/** While a stream is open, its key may come to allow something else: `onChanged` is told what its caller is then. */
export function followKey(
  request: DirectRequest,
  { route, onChanged }: { readonly route: string; readonly onChanged: (now: Caller) => void },
  { live, callerAt }: FollowDeps,
): void {
  const { caller } = request;
  let known = accessOf(caller);
  const callerOn = (changed: Caller): Caller => {
    try {
      return callerAt(changed, route);
    } catch {
      return { ...changed, scopes: noScopes }; // a virtual server that is there no more
    }
  };
  const place = live.add({
    caller,
    abort: () => {}, // it is the request that ends
    onKeyChanged(key) {
      const now = callerOn(caller.envelope ? narrowedBy(key, caller) : key);
      if (accessOf(now) === known) return;
      known = accessOf(now);
      onChanged(now);
    },
  });
  request.onClose(() => place.leave());
}

/** What was passed on for somebody never becomes more than it was. */
function narrowedBy(key: Caller, caller: Caller): Caller {
  return { ...caller, scopes: intersectScopes(caller.scopes, key.scopes) };
}

function accessOf({ scopes, tags, roles }: Caller): string {
  return JSON.stringify([scopes, tags, roles]);
}
