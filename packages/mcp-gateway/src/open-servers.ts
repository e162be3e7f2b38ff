import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { McpGatewayConfig } from './config.ts';
import type { Upstream } from './domain/upstream.ts';
import { gatewayInfo } from './pipeline/gateway-identity.ts';
import { JoinedLists } from './pipeline/joined-lists.ts';
import { createRoutes } from './pipeline/routes.ts';
import { ServerFacts } from './pipeline/server-facts.ts';
import { ServerHealth } from './pipeline/server-health.ts';
import { type EffectiveServers, ServerRegistry } from './pipeline/server-registry.ts';
import { SharedChannels } from './pipeline/shared-channels.ts';
import { createSqlServerStore } from './store/sql-server-store.ts';
import { createUpstreamDirectory } from './upstreams/directory.ts';
import { parseRegistered } from './upstreams/registry.ts';

export type Servers = ReturnType<typeof openServers>;

/** The tool servers: which there are, what is known of them, and the ways to them. Nothing is asked before `start`. */
export function openServers(
  config: ConfigSource<McpGatewayConfig>,
  deps: GatewayDeps,
  { onStray }: { readonly onStray: (server: string) => void },
) {
  const { clock, dialer, hot } = deps;
  const { log } = deps.telemetry;
  const directory = createUpstreamDirectory({ clock, log, dialer, onStray, clientInfo: gatewayInfo });
  const routes = createRoutes(directory, () => config.current.namespaces);
  const facts = new ServerFacts(clock, log);
  const shared = new SharedChannels(facts, log, clock);
  const health = new ServerHealth({ clock, facts, shared });
  let onChanged: (removed: readonly Upstream[]) => void = () => {};

  const apply = ({ configs, hidden }: EffectiveServers) => {
    const before = directory.list();
    directory.apply(configs, hidden);
    const [open, after] = [directory.open(), directory.list()];
    const removed = before.filter(upstream => !open.includes(upstream));
    for (const upstream of removed) shared.remove(upstream);
    if (after.length === before.length && after.every((upstream, index) => upstream === before[index]))
      return;
    onChanged(removed);
    for (const upstream of after)
      void facts.hello(upstream, 'modern', AbortSignal.timeout(upstream.policy.openTimeoutMs));
  };
  const registry = new ServerRegistry({
    store: createSqlServerStore({ sql: deps.sql, sealer: deps.sealer, clock }),
    hot,
    clock,
    log,
    health,
    configured: () => config.current.servers,
    parse: parseRegistered,
    openServers: directory.open,
    apply,
    drainMs: () => config.current.server_drain_ms,
  });
  let stopListening = () => {};

  return {
    directory,
    routes,
    facts,
    shared,
    health,
    registry,
    joined: new JoinedLists(),
    /** `onServersChanged` is told of every change, with the servers that are there no more. */
    async start(onServersChanged: (removed: readonly Upstream[]) => void) {
      onChanged = onServersChanged;
      stopListening = config.onChange(() => apply(registry.effective()));
      await registry.start();
      health.checkEvery(() => config.current.health_check_ms, directory.list);
    },
    async stop() {
      stopListening();
      health.stop();
      await registry.close();
    },
    close: () => directory.close(),
  };
}
