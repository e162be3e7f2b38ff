import { aiSdkClients } from './ai-sdk-clients.ts';
import { chatClient } from './chat-client.ts';
import type { Client } from './client.ts';
import { converseClient } from './converse-client.ts';
import { geminiClient } from './gemini-client.ts';
import { langChainClients } from './langchain-clients.ts';
import { messagesClient } from './messages-client.ts';
import { responsesClient } from './responses-client.ts';

/** Every client. A new protocol is a line here. */
export const clients: readonly Client[] = [
  chatClient,
  responsesClient,
  messagesClient,
  geminiClient,
  converseClient,
  ...aiSdkClients,
  ...langChainClients,
];
