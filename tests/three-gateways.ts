import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixedConfig } from '@strata/shared/config/config-source.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { GatewayName } from '@strata/shared/identity/envelope.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createAgentGateway } from '../packages/agent-gateway/src/app.ts';
import { agentGatewaySection } from '../packages/agent-gateway/src/config.ts';
import type { Answer } from '../packages/agent-gateway/test/support/gateway.ts';
import { createAiGateway } from '../packages/ai-gateway/src/app.ts';
import { aiGatewaySection } from '../packages/ai-gateway/src/config.ts';
import { createMcpGateway } from '../packages/mcp-gateway/src/app.ts';
import { mcpGatewaySection } from '../packages/mcp-gateway/src/config.ts';

export interface ThreeGateways {
  readonly urls: Readonly<Record<GatewayName, string>>;
  readonly deps: Readonly<Record<GatewayName, TestDeps>>;
  /** JSON in, JSON out, at agent-gateway, with the user's key unless another is given. */
  call(method: string, path: string, options?: { body?: unknown; key?: string }): Promise<Answer>;
  close(): Promise<void>;
}

/** The three gateways as one stack on loopback: each with stores and connections of its own, as their processes have, over the same data. */
export async function startThreeGateways(options: {
  readonly shared?: Record<string, unknown>;
  readonly ai?: Record<string, unknown>;
  readonly mcp?: Record<string, unknown>;
  readonly agent?: Record<string, unknown>;
}): Promise<ThreeGateways> {
  const dataDir = mkdtempSync(join(tmpdir(), 'strata-three-'));
  const running: { readonly app: GatewayApp; readonly deps: TestDeps }[] = [];
  const listen = { port: 0, drain_timeout_ms: 1000, max_event_loop_delay_ms: 60_000 };

  async function start(name: GatewayName, create: (deps: GatewayDeps) => Promise<GatewayApp>) {
    const deps = await createTestDeps({ name, dataDir, config: options.shared ?? {} });
    const app = await create(deps);
    const { url } = await app.server.start();
    running.push({ app, deps });
    return { url, deps };
  }

  const ai = await start('ai-gateway', deps =>
    createAiGateway(fixedConfig(aiGatewaySection.parse({ listen, ...options.ai })), deps),
  );
  const mcp = await start('mcp-gateway', deps =>
    createMcpGateway(fixedConfig(mcpGatewaySection.parse({ listen, servers: {}, ...options.mcp })), deps),
  );
  const agent = await start('agent-gateway', deps => {
    const section = { ai_gateway: ai.url, mcp_gateway: `${mcp.url}/mcp`, ...options.agent, listen };
    return createAgentGateway(fixedConfig(agentGatewaySection.parse(section)), deps);
  });

  return {
    urls: { 'ai-gateway': ai.url, 'mcp-gateway': mcp.url, 'agent-gateway': agent.url },
    deps: { 'ai-gateway': ai.deps, 'mcp-gateway': mcp.deps, 'agent-gateway': agent.deps },
    async call(method, path, { body, key = agent.deps.userKey } = {}) {
      const response = await fetch(agent.url + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
    },
    async close() {
      for (const { app, deps } of running.reverse()) {
        await app.server.drain();
        await app.close();
        await deps.close();
      }
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
