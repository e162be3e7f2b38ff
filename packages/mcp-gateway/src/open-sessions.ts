import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { McpGatewayConfig } from './config.ts';
import { savedAgainMs } from './domain/settings.ts';
import { routeOf } from './http/mcp-endpoint.ts';
import { createRelay } from './http/relay.ts';
import type { SessionWorld } from './pipeline/live-session.ts';
import { Replicas } from './pipeline/replicas.ts';
import { createSessionDirectory } from './pipeline/session-directory.ts';
import { createHotSessionStore } from './store/hot-session-store.ts';

/** The sessions of this process and, where replicas share a hot store, the way to those of the others. */
export function openSessions(
  config: ConfigSource<McpGatewayConfig>,
  deps: GatewayDeps,
  world: Omit<SessionWorld, 'store' | 'policy'> & {
    readonly isDraining: () => boolean;
    /** Every second while the gateway drains. */
    readonly onDraining: () => void;
  },
) {
  const { clock, hot, dialer } = deps;
  const { log, meter } = deps.telemetry;
  const { settings, instance, isDraining } = world;
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
            absoluteMs: settings().sessions.absoluteMs,
            unusedMs: settings().sessions.idleMs + savedAgainMs(settings()),
          }),
        });
  const sessions = createSessionDirectory(
    { ...world, store, policy: deps.policy },
    {
      isDraining,
      onDraining() {
        relay?.endAll();
        world.onDraining();
      },
    },
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
      againMs: () => savedAgainMs(settings()),
    });
  const relay = replicas && createRelay({ replicas, dialer, clock, routeOf });
  meter
    .createObservableGauge('strata.mcp.sessions', { description: 'Open client sessions.' })
    .addCallback(result => result.observe(sessions.size));
  return {
    sessions,
    relay,
    async start() {
      await replicas?.start();
    },
    async close() {
      await sessions.close();
      await replicas?.close();
    },
  };
}
