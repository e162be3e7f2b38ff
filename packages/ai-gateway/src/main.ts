import { startService } from '@strata/shared/service.ts';
import { createAiGateway } from './app.ts';
import { aiGatewaySection } from './config.ts';

startService({
  name: 'ai-gateway',
  section: 'ai_gateway',
  schema: aiGatewaySection,
  create: createAiGateway,
});
