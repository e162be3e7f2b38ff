import { generateText, jsonSchema, type ModelMessage, streamText, type ToolSet } from 'ai';
import { type AiSdkProvider, aiSdkProviders } from './ai-sdk-clients.ts';
import type { LoopClient } from './loops.ts';

const tools: ToolSet = {
  get_weather: {
    inputSchema: jsonSchema({
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    }),
  },
};

/** The Vercel AI SDK keeps seals in the `providerOptions` of the parts that it gives back. */
export const aiSdkLoops: readonly LoopClient[] = aiSdkProviders.map(provider => ({
  name: provider.name,
  protocol: provider.protocol,
  open(server, prompt, isStream) {
    const open = provider.open(server);
    const messages: ModelMessage[] = [{ role: 'user', content: prompt }];
    return {
      async turn(model) {
        const result = await ask(provider, open(model), messages, isStream);
        messages.push(...result.messages);
        if (result.calls.length > 0) {
          messages.push({
            role: 'tool',
            content: result.calls.map(({ toolCallId, toolName }) => ({
              type: 'tool-result',
              toolCallId,
              toolName,
              output: { type: 'text', value: 'Sunny' },
            })),
          });
        }
        return { text: result.text, calls: result.calls.map(call => call.toolCallId) };
      },
    };
  },
}));

type Model = ReturnType<ReturnType<AiSdkProvider['open']>>;

async function ask(
  { thinking: providerOptions }: AiSdkProvider,
  model: Model,
  messages: ModelMessage[],
  isStream: boolean,
) {
  const options = { model, messages, tools, providerOptions, maxRetries: 0, maxOutputTokens: 4000 };
  if (!isStream) {
    const { text, toolCalls: calls, response } = await generateText(options);
    return { text, calls, messages: response.messages };
  }
  const result = streamText({
    ...options,
    onError: ({ error }) => {
      throw error;
    },
  });
  return {
    text: await result.text,
    calls: await result.toolCalls,
    messages: (await result.response).messages,
  };
}
