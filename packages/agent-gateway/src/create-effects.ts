import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { Origin } from '@strata/shared/http/dialer.ts';
import { createAgentFeeEffect } from './agents/agent-fee-effect.ts';
import { createMcpEffect } from './agents/mcp-effect.ts';
import { createModelEffect } from './agents/model-effect.ts';
import { createSchemaEffect } from './agents/schema-effect.ts';
import type { AgentGatewayConfig } from './config.ts';
import type { Approvals } from './domain/approval.ts';
import type { DataSchemas } from './domain/data-schemas.ts';
import type { Effect } from './domain/effect.ts';
import { createHttpEffect } from './tasks/call-http/http-effect.ts';
import { createHumanEffect } from './tasks/call-human/human-effect.ts';
import { createOpenapiEffect } from './tasks/call-openapi/openapi-effect.ts';

/** The ways to the outside, one line each. */
export function createEffects(
  config: ConfigSource<AgentGatewayConfig>,
  {
    dialer,
    clock,
    schemas,
    approvals,
    budgets,
    ledger,
  }: Pick<GatewayDeps, 'dialer' | 'clock' | 'budgets' | 'ledger'> & {
    readonly schemas: DataSchemas;
    readonly approvals: Approvals;
  },
): ReadonlyMap<string, Effect> {
  const neighbour = (name: string, url: string): Origin => ({ name, url: new URL(url), allowPrivate: true });
  const http = createHttpEffect({
    dialer,
    clock,
    settings: () => ({
      secrets: config.current.secrets,
      allowedHosts: config.current.http_calls.allowed_hosts,
      privateHosts: config.current.http_calls.private_hosts,
      timeoutMs: config.current.http_calls.timeout_ms,
    }),
  });
  const all = [
    http,
    createOpenapiEffect({ http, clock }),
    createSchemaEffect(schemas),
    createAgentFeeEffect({ budgets, ledger, clock }),
    createHumanEffect({ approvals, clock }),
    createModelEffect({
      dialer,
      settings: () => ({
        origin: neighbour('ai-gateway', config.current.ai_gateway),
        timeoutMs: config.current.model_timeout_ms,
      }),
    }),
    createMcpEffect({
      dialer,
      settings: () => ({
        origin: neighbour('mcp-gateway', config.current.mcp_gateway),
        timeoutMs: config.current.tool_timeout_ms,
      }),
    }),
  ];
  return new Map(all.map(effect => [effect.type, effect]));
}
