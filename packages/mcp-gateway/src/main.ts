import { startService } from '@strata/shared/service.ts';
import { createMcpGateway } from './app.ts';
import { mcpGatewaySection } from './config.ts';

startService({
  name: 'mcp-gateway',
  section: 'mcp_gateway',
  schema: mcpGatewaySection,
  create: createMcpGateway,
});
