import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type Message,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { LoopClient } from './loops.ts';

export const converseLoop: LoopClient = {
  name: '@aws-sdk/client-bedrock-runtime, Converse',
  protocol: 'bedrock-converse',
  open(server, prompt) {
    const sdk = new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: server.url,
      credentials: { accessKeyId: server.key, secretAccessKey: 'unused' },
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler(),
    });
    const messages: Message[] = [{ role: 'user', content: [{ text: prompt }] }];
    const json = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    return {
      async turn(modelId) {
        const answer = await sdk.send(
          new ConverseCommand({
            modelId,
            messages,
            inferenceConfig: { maxTokens: 4000 },
            toolConfig: { tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json } } }] },
            additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } },
          }),
        );
        const message = answer.output?.message;
        if (message === undefined) throw new Error('no message');
        messages.push(message);
        const content = message.content ?? [];
        const calls = content.flatMap(({ toolUse }) => toolUse?.toolUseId ?? []);
        if (calls.length > 0) messages.push({ role: 'user', content: calls.map(resultOf) });
        return { text: content.map(block => block.text ?? '').join(''), calls };
      },
    };
  },
};

function resultOf(toolUseId: string): ContentBlock {
  return { toolResult: { toolUseId, content: [{ text: 'Sunny' }] } };
}
