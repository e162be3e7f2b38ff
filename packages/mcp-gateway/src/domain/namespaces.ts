import type { Caller } from '@strata/shared/identity/caller.ts';
import { intersectPatterns, matchesScope, withDenied } from '@strata/shared/identity/scopes.ts';
import { forbidServer } from './names.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamDirectory } from './upstream-directory.ts';

/** A virtual server: some of the servers, and of what they offer what the globs leave, under a path of its own. */
export interface Namespace {
  /** All servers when undefined. */
  readonly servers?: readonly string[] | undefined;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** The path below which each virtual server has its own. */
export const endpointPath = '/mcp';

const below = `${endpointPath}/`;

/** The name of the virtual server that a route leads to; undefined for the endpoint of all servers. */
export function namespaceOf(route: string): string | undefined {
  return route.startsWith(below) ? route.slice(below.length) : undefined;
}

/** The caller as the virtual server sees it: what it may use there is never more than what its key allows. */
export function narrowCaller(caller: Caller, namespace: Namespace): Caller {
  const tools = withDenied(intersectPatterns(caller.scopes.tools, namespace.allow), namespace.deny);
  return { ...caller, scopes: { ...caller.scopes, tools } };
}

/** What a caller may not use of the servers becomes globs over their items, which is what lists and calls are held to. */
export function withoutServers(caller: Caller, servers: readonly string[]): Caller {
  const { scopes } = caller;
  if (servers.every(server => matchesScope(scopes.servers, server))) return caller;
  const refused = servers.filter(server => !matchesScope(scopes.servers, server));
  return { ...caller, scopes: { ...scopes, tools: [...scopes.tools, ...refused.map(forbidServer)] } };
}

/** The servers of a namespace, as they are at the moment. One that is not configured has none (S-2). */
export function directoryOf(
  directory: UpstreamDirectory,
  namespace: () => Namespace | undefined,
): UpstreamDirectory {
  const holds = (name: string) => {
    const current = namespace();
    return current !== undefined && (current.servers?.includes(name) ?? true);
  };
  let listed: { of: Namespace | undefined; from: readonly Upstream[]; list: readonly Upstream[] } | undefined;
  return {
    /** The same array while it holds the same. */
    list() {
      const [of, from] = [namespace(), directory.list()];
      if (listed?.of !== of || listed?.from !== from)
        listed = { of, from, list: from.filter(upstream => holds(upstream.name)) };
      return listed.list;
    },
    get: name => (holds(name) ? directory.get(name) : undefined),
  };
}
