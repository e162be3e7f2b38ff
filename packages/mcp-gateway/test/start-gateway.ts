import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createDialer } from '@strata/shared/http/dialer.ts';
import { networkSection } from '@strata/shared/http/network-section.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { createTelemetry } from '@strata/shared/telemetry/telemetry.ts';
import { telemetrySection } from '@strata/shared/telemetry/telemetry-section.ts';
import { createLogger } from '@strata/shared/telemetry/logger.ts';
import { createMcpGateway } from '../src/app.ts';
import { type McpGatewayConfig, mcpGatewaySection } from '../src/config.ts';

export interface TestGateway {
  readonly url: URL;
  /** Every line the gateway logged, parsed. */
  readonly logs: Record<string, unknown>[];
  readonly recentSpans: NonNullable<GatewayDeps['telemetry']['recentSpans']>;
  /** Reloads with this section. */
  configure(section: unknown): void;
  prometheus(): Promise<string>;
  close(): Promise<void>;
}

/** Keys of the tests: `sk-<principal>` may use everything, `sk-<principal>:<glob>,<glob>` what the globs say. */
export async function authenticateForTest(authorization: string | undefined): Promise<Caller> {
  const match = /^Bearer sk-([a-z0-9]+)(?::(.*))?$/.exec(authorization ?? '');
  if (!match) throw new GatewayError('unauthenticated', 'No valid key.', { reason: 'key_invalid' });
  const [, principal = '', globs] = match;
  return {
    tenant: 'test',
    principal,
    keyId: `key-${principal}`,
    isAdmin: false,
    scopes: { models: [], tools: globs === undefined ? ['*'] : globs.split(','), workflows: [] },
    envelope: undefined,
  };
}

/** A real gateway on a free loopback port, with the section as the configuration file would hold it. */
export async function startGateway(
  section: Record<string, unknown>,
  options: { readonly hot?: Hot } = {},
): Promise<TestGateway> {
  const logs: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const telemetry = createTelemetry({
    service: 'mcp-gateway',
    config: telemetrySection.parse({ recent_spans: 1000 }),
    log: createLogger({ service: 'mcp-gateway', level: 'debug', destination }),
  });
  const dialer = createDialer({ config: networkSection.parse({}), clock: systemClock });
  // What this gateway does not use (SQL, keys, envelopes) is left out.
  const deps = {
    name: 'mcp-gateway',
    clock: systemClock,
    telemetry,
    hot: options.hot ?? createMemoryHot(systemClock),
    dialer,
    authenticate: (headers: { authorization?: string }) => authenticateForTest(headers.authorization),
  } as unknown as GatewayDeps;

  const parse = (value: unknown) => mcpGatewaySection.parse({ listen: { port: 0 }, ...(value as object) });
  let current = parse(section);
  const listeners = new Set<(next: McpGatewayConfig) => void>();
  const source = {
    get current() {
      return current;
    },
    onChange(listener: (next: McpGatewayConfig) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const gateway = await createMcpGateway(source, deps);
  const { url } = await gateway.server.start();
  if (!telemetry.recentSpans) throw new Error('spans are kept in tests');
  return {
    url: new URL('/mcp', url),
    logs,
    recentSpans: telemetry.recentSpans,
    configure(next) {
      current = parse(next);
      for (const listener of listeners) listener(current);
    },
    prometheus: () => telemetry.prometheus(),
    async close() {
      await gateway.server.drain();
      await gateway.close();
      await dialer.close();
      await telemetry.shutdown();
    },
  };
}

const require = createRequire(import.meta.url);

/** Entry point of an installed server. */
export function serverScript(name: 'everything' | 'filesystem'): string {
  return join(dirname(require.resolve(`@modelcontextprotocol/server-${name}/package.json`)), 'dist/index.js');
}

export const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
export const node = process.execPath;
