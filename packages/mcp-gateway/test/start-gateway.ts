import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listEntries } from '@strata/shared/audit/audit-query.ts';
import type { AuditRecord } from '@strata/shared/audit/audit-record.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { Envelope } from '@strata/shared/identity/envelope.ts';
import { allScopes, noScopes } from '@strata/shared/identity/scopes.ts';
import type { MoneySchema } from '@strata/shared/money/money-schema.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { createLogger } from '@strata/shared/telemetry/logger.ts';
import { createTelemetry, type Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import { telemetrySection } from '@strata/shared/telemetry/telemetry-section.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createMcpGateway } from '../src/app.ts';
import { type McpGatewayConfig, mcpGatewaySection } from '../src/config.ts';

export interface TestGateway {
  readonly url: URL;
  readonly deps: GatewayDeps;
  /** Every line the gateway logged, parsed. */
  readonly logs: Record<string, unknown>[];
  readonly recentSpans: NonNullable<Telemetry['recentSpans']>;
  /** A key that may use everything. */
  readonly userKey: string;
  /** A key for the admin routes. */
  readonly adminKey: string;
  createKey(principal: string, tools?: readonly string[], servers?: readonly string[]): Promise<string>;
  /** The token another gateway would send when it calls for somebody. */
  issueEnvelope(change: Partial<Envelope>): Promise<string>;
  /** Reloads with this section. */
  configure(section: unknown): void;
  prometheus(): Promise<string>;
  /** What has been booked so far. */
  ledger(): Promise<readonly MoneySchema['usage_ledger'][]>;
  /** The audit log of a tenant. */
  audited(tenant: string): Promise<AuditRecord[]>;
  close(): Promise<void>;
}

/** A real gateway on a free loopback port, with the section as the configuration file would hold it. */
export async function startGateway(
  section: Record<string, unknown>,
  options: {
    readonly hot?: Hot;
    readonly dataDir?: string;
    readonly config?: Record<string, unknown>;
    /** Below it nothing is kept in `logs`; a run of a million calls needs that. */
    readonly logLevel?: 'debug' | 'error';
  } = {},
): Promise<TestGateway> {
  const logs: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const telemetry = createTelemetry({
    service: 'mcp-gateway',
    config: telemetrySection.parse({ recent_spans: 1000 }),
    log: createLogger({ service: 'mcp-gateway', level: options.logLevel ?? 'debug', destination }),
  });
  const own = await createTestDeps({
    name: 'mcp-gateway',
    ...(options.dataDir !== undefined && { dataDir: options.dataDir }),
    ...(options.config && { config: options.config }),
  });
  const deps = { ...own, telemetry, ...(options.hot && { hot: options.hot }) };

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
    deps,
    logs,
    recentSpans: telemetry.recentSpans,
    configure(next) {
      current = parse(next);
      for (const listener of listeners) listener(current);
    },
    prometheus: () => telemetry.prometheus(),
    async ledger() {
      await own.ledger.flush();
      return own.sql.db.selectFrom('usage_ledger').selectAll().execute();
    },
    async audited(tenant) {
      await own.audit.flush();
      return (await listEntries(own.sql.db, { tenant }, { limit: 1000 })).map(entry => entry.record);
    },
    userKey: own.userKey,
    adminKey: own.adminKey,
    createKey: (principal, tools = ['*'], servers = ['*']) =>
      own.createKey({ principal, scopes: { ...noScopes, servers, tools } }),
    issueEnvelope: change =>
      own.envelopes.issue(
        {
          tenant: 'default',
          team: 'default',
          project: 'default',
          subject: 'asker',
          principalKind: 'user',
          keyId: undefined,
          tags: [],
          grant: undefined,
          actors: ['workflow:test'],
          scopes: allScopes,
          runId: undefined,
          taskId: undefined,
          deadlineAtMs: undefined,
          depth: 8,
          ...change,
        },
        'mcp-gateway',
      ),
    async close() {
      await gateway.server.drain();
      await gateway.close();
      await own.close();
      await telemetry.shutdown();
    },
  };
}

const require = createRequire(import.meta.url);

/** Entry point of an installed server. */
export function serverScript(name: 'everything' | 'filesystem' | 'memory'): string {
  return join(dirname(require.resolve(`@modelcontextprotocol/server-${name}/package.json`)), 'dist/index.js');
}

export const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
export const node = process.execPath;
