import { join } from 'node:path';
import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { jsonRpcErrors } from '@strata/shared/errors/json-rpc.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import { readOrCreateSecret } from '@strata/shared/identity/local-secrets.ts';
import { newId, randomText } from '@strata/shared/ids.ts';
import { compose } from '@strata/shared/pipeline.ts';
import type { Secret } from '@strata/shared/secret.ts';
import { ParkedRuns } from './bridge/parked-runs.ts';
import type { McpGatewayConfig } from './config.ts';
import { createCursors } from './domain/cursor.ts';
import { endpointPath } from './domain/namespaces.ts';
import { createSealer } from './domain/sealer.ts';
import { type GatewaySettings, savedAgainMs } from './domain/settings.ts';
import { createTaskIds } from './domain/task-ids.ts';
import { addMcpEndpoint, type McpEndpointDeps, routeOf } from './http/mcp-endpoint.ts';
import { createOriginCheck } from './http/origin-check.ts';
import { createRelay } from './http/relay.ts';
import { serverRoutes } from './http/server-routes.ts';
import { addSseEndpoint } from './http/sse-endpoint.ts';
import { bookCall } from './pipeline/book-call.ts';
import { countCall } from './pipeline/count-call.ts';
import { createDispatch } from './pipeline/dispatch.ts';
import { forwardCall } from './pipeline/forward-call.ts';
import { gatewayInfo } from './pipeline/gateway-identity.ts';
import { JoinedLists } from './pipeline/joined-lists.ts';
import { limitTime } from './pipeline/limit-time.ts';
import { ModernPeers } from './pipeline/modern-peer.ts';
import { recordCall } from './pipeline/record-call.ts';
import { Replicas } from './pipeline/replicas.ts';
import { retrySafeCalls } from './pipeline/retry-safe-calls.ts';
import { createRoutes } from './pipeline/routes.ts';
import { ServerFacts } from './pipeline/server-facts.ts';
import { ServerHealth } from './pipeline/server-health.ts';
import { type EffectiveServers, ServerRegistry } from './pipeline/server-registry.ts';
import { createSessionDirectory } from './pipeline/session-directory.ts';
import { SharedChannels } from './pipeline/shared-channels.ts';
import { traceCall } from './pipeline/trace-call.ts';
import { watchCalls } from './pipeline/watch-calls.ts';
import { createHotSessionStore } from './store/hot-session-store.ts';
import { createSqlServerStore } from './store/sql-server-store.ts';
import { createUpstreamDirectory } from './upstreams/directory.ts';
import { parseRegistered } from './upstreams/registry.ts';

/**
 * What a message goes through, in order: the server's hooks (limits, host, key), the endpoint (origin, era, session), the
 * method's own step (which finds the server behind a name or URI within the caller's scopes), the call stages, the server.
 */
export async function createMcpGateway(
  config: ConfigSource<McpGatewayConfig>,
  deps: GatewayDeps,
): Promise<GatewayApp> {
  const { clock, telemetry, hot, dialer } = deps;
  const { log, meter } = telemetry;
  let settings = settingsOf(config.current);

  const stray = meter.createCounter('strata.mcp.stray_messages', {
    description:
      'Messages of servers that nobody waited for: late, repeated, invalid, or under a foreign id.',
  });
  const ignored = meter.createCounter('strata.mcp.ignored_messages', {
    description: 'Notifications and answers of clients that concern nothing that is going on.',
  });
  const dropped = meter.createCounter('strata.mcp.dropped_messages', {
    description: 'Progress and log messages left out because the client reads too slowly.',
  });

  const repeated = meter.createCounter('strata.mcp.repeated_calls', {
    description: 'Calls made again because the server was lost in the middle of them and they are safe.',
  });

  const directory = createUpstreamDirectory({
    clock,
    log,
    dialer,
    onStray: server => stray.add(1, { server }),
    clientInfo: gatewayInfo,
  });
  const routes = createRoutes(directory, () => config.current.namespaces);
  const facts = new ServerFacts(clock, log);
  const shared = new SharedChannels(facts, log, clock);
  const joined = new JoinedLists();
  const health = new ServerHealth({ clock, facts, shared });

  const server = createGatewayServer({
    name: deps.name,
    config: config.current.listen,
    telemetry,
    clock,
    authenticate: deps.authenticate,
    live: deps.live,
    errors: jsonRpcErrors,
    onRefused: deps.refusals.recordRequest,
  });
  const instance = newId('mcpgw');
  const stateSecret = stateSecretOf(config.current, deps.dataDir);
  const sealer = createSealer(stateSecret);
  const taskIds = createTaskIds(stateSecret);
  const { replicas: replication } = config.current;
  const store =
    replication.url === undefined
      ? undefined
      : createHotSessionStore({
          hot,
          clock,
          instance,
          url: replication.url,
          keepMs: () => ({
            absoluteMs: settings.sessions.absoluteMs,
            unusedMs: settings.sessions.idleMs + savedAgainMs(settings),
          }),
        });
  const sessions = createSessionDirectory(
    {
      directoryOf: routes.directoryOf,
      facts,
      shared,
      joined,
      hot,
      clock,
      log,
      settings: () => settings,
      instance,
      store,
      taskIds,
      onDropped: () => dropped.add(1),
    },
    { isDraining: () => server.isDraining, onDraining: () => relay?.endAll() },
  );
  const replicas =
    store &&
    new Replicas({
      store,
      sessions,
      hot,
      clock,
      log,
      instance,
      beatMs: replication.heartbeat_ms,
      againMs: () => savedAgainMs(settings),
    });
  const relay = replicas && createRelay({ replicas, dialer, clock, routeOf });
  await replicas?.start();
  meter
    .createObservableGauge('strata.mcp.sessions', { description: 'Open client sessions.' })
    .addCallback(result => result.observe(sessions.size));

  const runCall = compose(
    [
      watchCalls([recordCall({ telemetry, clock, audit: deps.audit }), health.watchCalls()]),
      ...(telemetry.isTracing ? [traceCall(telemetry)] : []),
      countCall(deps.limiter),
      bookCall({ ledger: deps.ledger, budgets: deps.budgets, prices: deps.priceOverrides, clock }),
      limitTime(clock),
    ],
    retrySafeCalls(forwardCall, server => repeated.add(1, { server })),
  );
  const { directoryOf } = routes;
  const peers = new ModernPeers({
    directoryOf,
    facts,
    shared,
    joined,
    clock,
    log,
    settings: () => settings,
    taskIds,
  });
  const parked = new ParkedRuns({ hot, clock, log, instance });
  const endpoint: McpEndpointDeps = {
    clock,
    live: deps.live,
    settings: () => settings,
    sessions,
    relay,
    peers,
    parked,
    sealer,
    instance,
    onDropped: () => dropped.add(1),
    ...routes,
    facts,
    dispatch: createDispatch({
      clock,
      directory,
      settings: () => settings,
      runCall,
      cursors: createCursors(sealer),
      taskIds,
      haveTasks: era => facts.haveTasks(directory.list(), era),
      policy: deps.policy,
    }),
    ...createOriginCheck({
      listenHost: config.current.listen.host,
      allowedOrigins: () => config.current.allowed_origins,
    }),
    onIgnored: () => ignored.add(1),
    onUnforeseen: (err, requestId) => log.error({ err, requestId }, 'request failed'),
  };
  addMcpEndpoint(server, endpointPath, endpoint);
  addMcpEndpoint(server, `${endpointPath}/:namespace`, endpoint);
  addSseEndpoint(server, endpoint);

  const askAll = () => {
    for (const upstream of directory.list()) {
      void facts.hello(upstream, 'modern', AbortSignal.timeout(upstream.policy.openTimeoutMs));
    }
  };
  const apply = ({ configs, hidden }: EffectiveServers) => {
    const before = directory.list();
    directory.apply(configs, hidden);
    const [open, after] = [directory.open(), directory.list()];
    const removed = before.filter(upstream => !open.includes(upstream));
    for (const upstream of removed) shared.remove(upstream);
    if (after.length === before.length && after.every((upstream, index) => upstream === before[index]))
      return;
    for (const session of sessions.all()) session.onServersChanged(removed);
    for (const peer of peers.all()) peer.onServersChanged(removed);
    askAll();
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
  await registry.start();
  addAdminApi(server.app, deps, serverRoutes(registry));
  health.checkEvery(() => config.current.health_check_ms, directory.list);
  const stopListening = config.onChange(next => {
    settings = settingsOf(next);
    apply(registry.effective());
  });

  return {
    server,
    async close() {
      stopListening();
      health.stop();
      await registry.close();
      await sessions.close();
      await replicas?.close();
      await peers.close();
      await parked.close();
      await directory.close();
    },
  };
}

/** The configured secret, else one that is made on the first start and kept beside the embedded stores. */
function stateSecretOf(config: McpGatewayConfig, dataDir: string): Secret {
  return (
    config.state_secret ?? readOrCreateSecret(join(dataDir, 'secrets'), 'mcp-state', () => randomText(52))
  );
}

function settingsOf(config: McpGatewayConfig): GatewaySettings {
  const { sessions, streams } = config;
  return {
    sessions: {
      idleMs: sessions.idle_ms,
      absoluteMs: sessions.absolute_ms,
      pendingMs: sessions.pending_ms,
      max: sessions.max,
      maxPerPrincipal: sessions.max_per_principal,
      maxCalls: sessions.max_calls,
    },
    streams: {
      streamAfterMs: streams.stream_after_ms,
      retryMs: streams.retry_ms,
      keepMs: streams.keep_ms,
      maxEvents: streams.max_events,
      maxBytes: streams.max_bytes,
    },
    listPageSize: config.list_page_size,
    listTimeoutMs: config.list_timeout_ms,
    listChangedDebounceMs: config.list_changed_debounce_ms,
    inputTimeoutMs: config.input_timeout_ms,
  };
}
