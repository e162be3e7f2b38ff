import { agentGatewaySection } from '@strata/agent-gateway/config.ts';
import { aiGatewaySection } from '@strata/ai-gateway/config.ts';
import { mcpGatewaySection } from '@strata/mcp-gateway/config.ts';
import { loadConfig } from '@strata/shared/config/load.ts';
import { readConfigFile } from '@strata/shared/config/read-config-file.ts';
import { rootSchema } from '@strata/shared/config/root-schema.ts';

/** The whole file: the shared sections and all three gateways, each strict. */
export const stackSchema = rootSchema({
  ai_gateway: aiGatewaySection,
  mcp_gateway: mcpGatewaySection,
  agent_gateway: agentGatewaySection,
});

export type StackConfig = ReturnType<typeof loadStackConfig>;

/** @throws ConfigError with every mistake of all sections. */
export function loadStackConfig() {
  return loadConfig(stackSchema, readConfigFile(process.env), { env: process.env });
}
