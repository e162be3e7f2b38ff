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
import { createCounters } from './create-counters.ts';
import { createSettings } from './create-settings.ts';
import { createCursors } from './domain/cursor.ts';
import { endpointPath } from './domain/namespaces.ts';
import { createSealer } from './domain/sealer.ts';
import { createTaskIds } from './domain/task-ids.ts';
import { addMcpEndpoint, type McpEndpointDeps } from './http/mcp-endpoint.ts';
import { createOriginCheck } from './http/origin-check.ts';
import { addResourceMetadata, challengingErrors } from './http/resource-metadata.ts';
import { serverRoutes } from './http/server-routes.ts';
import { addSseEndpoint } from './http/sse-endpoint.ts';
import { openServers, type Servers } from './open-servers.ts';
import { openSessions } from './open-sessions.ts';
import { bookCall } from './pipeline/book-call.ts';
import { countCall } from './pipeline/count-call.ts';
import { createDispatch } from './pipeline/dispatch.ts';
import { limitTime } from './pipeline/limit-time.ts';
import { ModernPeers } from './pipeline/modern-peers.ts';
import { recordCall } from './pipeline/record-call.ts';
import { retrySafeCalls } from './pipeline/retry-safe-calls.ts';
import { traceCall } from './pipeline/trace-call.ts';
import { watchCalls } from './pipeline/watch-calls.ts';

/**
 * What a message goes through, in order: the server's hooks (limits, host, key), the endpoint (origin, era, session), the
 * method's own step (which finds the server behind a name or URI within the caller's scopes), the call stages, the server.
 */
export async function createMcpGateway(
  config: ConfigSource<McpGatewayConfig>,
  deps: GatewayDeps,
): Promise<GatewayApp> {
  const { clock, hot } = deps;
  const { log, meter } = deps.telemetry;
  const settings = createSettings(config);
  const counters = createCounters(meter);
  const stateSecret = stateSecretOf(config.current, deps.dataDir);
  const sealer = createSealer(stateSecret);
  const taskIds = createTaskIds(stateSecret);
  const instance = newId('mcpgw');
  const resource = { issuers: deps.issuers, publicUrl: config.current.public_url };
  const errors = challengingErrors(jsonRpcErrors, resource);
  const server = createGatewayServer({
    name: deps.name,
    config: config.current.listen,
    telemetry: deps.telemetry,
    clock,
    authenticate: deps.authenticate,
    live: deps.live,
    errors,
    onRefused: deps.refusals.recordRequest,
  });

  const servers = openServers(config, deps, { onStray: counters.onStray });
  const { directory, facts, shared, joined } = servers;
  const { directoryOf, callerAt } = servers.routes;
  const world = { directoryOf, facts, shared, joined, clock, log, settings, taskIds };
  const peers = new ModernPeers(world);
  const open = openSessions(config, deps, {
    ...world,
    hot,
    instance,
    onDropped: counters.onDropped,
    isDraining: () => server.isDraining,
    onDraining: () => peers.endListening(),
  });
  const { sessions, relay } = open;
  await open.start();
  const parked = new ParkedRuns({ hot, clock, log, instance });
  const dispatch = createDispatch({
    clock,
    directory,
    settings,
    runCall: createRunCall(deps, servers, counters.onRepeated),
    cursors: createCursors(sealer),
    taskIds,
    haveTasks: era => facts.haveTasks(directory.list(), era),
    policy: deps.policy,
  });
  const endpoint: McpEndpointDeps = {
    errors,
    clock,
    live: deps.live,
    settings,
    sessions,
    relay,
    peers,
    parked,
    sealer,
    instance,
    facts,
    dispatch,
    policy: deps.policy,
    directoryOf,
    callerAt,
    ...createOriginCheck({
      listenHost: config.current.listen.host,
      allowedOrigins: () => config.current.allowed_origins,
    }),
    onDropped: counters.onDropped,
    onIgnored: counters.onIgnored,
    onUnforeseen: (err, requestId) => log.error({ err, requestId }, 'request failed'),
  };
  addMcpEndpoint(server, endpointPath, endpoint);
  addMcpEndpoint(server, `${endpointPath}/:namespace`, endpoint);
  addSseEndpoint(server, endpoint);
  addResourceMetadata(server, resource);
  addAdminApi(server.app, deps, serverRoutes(servers.registry));
  await servers.start(removed => {
    for (const each of [...sessions.all(), ...peers.all()]) each.onServersChanged(removed);
  });

  return {
    server,
    async close() {
      await servers.stop();
      await open.close();
      await peers.close();
      await parked.close();
      await servers.close();
    },
  };
}

/** What every call goes through on its way to its server. */
function createRunCall(deps: GatewayDeps, { health }: Servers, onRepeated: (server: string) => void) {
  const { clock, telemetry, ledger, budgets, priceOverrides: prices } = deps;
  return compose(
    [
      watchCalls([
        recordCall({ telemetry, clock, audit: deps.audit }),
        health.watchCalls(),
        limitTime(clock),
      ]),
      ...(telemetry.isTracing ? [traceCall(telemetry)] : []),
      countCall(deps.limiter),
      bookCall({ ledger, budgets, prices, clock }),
    ],
    retrySafeCalls(onRepeated),
  );
}

/** The configured secret, else one that is made on the first start and kept beside the embedded stores. */
function stateSecretOf(config: McpGatewayConfig, dataDir: string): Secret {
  return (
    config.state_secret ?? readOrCreateSecret(join(dataDir, 'secrets'), 'mcp-state', () => randomText(52))
  );
}
