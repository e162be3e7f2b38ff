import { startService } from '@strata/shared/service.ts';
import { createAgentGateway } from './app.ts';
import { agentGatewaySection } from './config.ts';

startService({
  name: 'agent-gateway',
  section: 'agent_gateway',
  schema: agentGatewaySection,
  create: createAgentGateway,
});
