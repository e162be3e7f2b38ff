import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import {
  directoryOf,
  type Namespace,
  namespaceOf,
  narrowCaller,
  withoutServers,
} from '../domain/namespaces.ts';
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
  return {
    directoryOf(route) {
      const name = namespaceOf(route);
      return name === undefined ? directory : directoryOf(directory, () => find(name));
    },
    callerAt(anybody, route) {
      const caller = withoutServers(
        anybody,
        directory.list().map(upstream => upstream.name),
      );
      const name = namespaceOf(route);
      if (name === undefined) return caller;
      const namespace = find(name);
      if (namespace) return narrowCaller(caller, namespace);
      throw new GatewayError('not_found', 'There is no such virtual server.', {
        reason: 'unknown_namespace',
      });
    },
  };
}
