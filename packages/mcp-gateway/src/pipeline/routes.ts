import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import {
  directoryOf,
  type Namespace,
  namespaceOf,
  narrowCaller,
  withoutServers,
} from '../domain/namespaces.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';

/** What is behind each route: every server, or those of one virtual server. */
export interface Routes {
  /** The servers that are offered under a route. */
  directoryOf(route: string): UpstreamDirectory;
  /** What is left of a caller's scopes under a route. @throws GatewayError not_found (`unknown_namespace`) */
  callerAt(caller: Caller, route: string): Caller;
}

export function createRoutes(
  directory: UpstreamDirectory,
  namespaces: () => Readonly<Record<string, Namespace>>,
): Routes {
  const find = (name: string): Namespace | undefined =>
    Object.hasOwn(namespaces(), name) ? namespaces()[name] : undefined;
  const seen = new WeakMap<Caller, Map<string, SeenCaller>>();
  return {
    directoryOf(route) {
      const name = namespaceOf(route);
      return name === undefined ? directory : directoryOf(directory, () => find(name));
    },
    callerAt(anybody, route) {
      const name = namespaceOf(route);
      const namespace = name === undefined ? undefined : find(name);
      if (name !== undefined && namespace === undefined) throw unknownNamespace();
      const servers = directory.list();
      const byRoute = seen.get(anybody) ?? new Map<string, SeenCaller>();
      const known = byRoute.get(route);
      if (known?.servers === servers && known.namespace === namespace) return known.caller;
      const allowed = withoutServers(
        anybody,
        servers.map(upstream => upstream.name),
      );
      const caller = namespace === undefined ? allowed : narrowCaller(allowed, namespace);
      byRoute.set(route, { servers, namespace, caller });
      seen.set(anybody, byRoute);
      return caller;
    },
  };
}

/**
 * A caller as it was seen under a route, while servers and namespace are the same ones. The same object each time: what was found out for it
 * (decisions, subjects, names) is found out once. A caller object lives as long as the version of its key.
 */
interface SeenCaller {
  readonly servers: readonly Upstream[];
  readonly namespace: Namespace | undefined;
  readonly caller: Caller;
}

function unknownNamespace(): GatewayError {
  return new GatewayError('not_found', 'There is no such virtual server.', { reason: 'unknown_namespace' });
}
