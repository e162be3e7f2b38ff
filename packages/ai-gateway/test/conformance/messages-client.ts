import Anthropic from '@anthropic-ai/sdk';
import type { Message, MessageCreateParamsBase } from '@anthropic-ai/sdk/resources/messages';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client } from './client.ts';

export const messagesClient: Client = {
  name: '@anthropic-ai/sdk, messages',
  protocol: 'anthropic-messages',
  async ask(server, model, test, isStream) {
    const sdk = new Anthropic({ baseURL: server.url, apiKey: server.key, maxRetries: 0 });
    const body = messagesBody(model, test);
    const message = isStream
      ? await sdk.messages.stream(body).finalMessage()
      : await sdk.messages.create({ ...body, stream: false });
    return readMessage(message);
  },
};

function messagesBody(model: string, test: Case): MessageCreateParamsBase {
  const { prompt, system, image, pdf, tools, forcedTool, schema, stop, thinks } = test;
  return {
    model,
    max_tokens: 4000,
    ...(system !== undefined && { system }),
    ...(stop && { stop_sequences: [stop] }),
    ...(forcedTool && { tool_choice: { type: 'tool' as const, name: forcedTool } }),
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: prompt },
          ...(image === undefined
            ? []
            : [
                {
                  type: 'image' as const,
                  source: { type: 'base64' as const, media_type: 'image/png' as const, data: image },
                },
              ]),
          ...(pdf === undefined
            ? []
            : [
                {
                  type: 'document' as const,
                  source: { type: 'base64' as const, media_type: 'application/pdf' as const, data: pdf },
                },
              ]),
        ],
      },
    ],
    ...(tools && {
      tools: tools.map(({ name, schema: input }) => ({
        name,
        input_schema: { ...input, type: 'object' as const },
      })),
    }),
    ...(schema && { output_config: { format: { type: 'json_schema' as const, schema } } }),
    ...(thinks && { thinking: { type: 'enabled' as const, budget_tokens: 2000 } }),
  };
}

const messageFinishes: Readonly<Record<string, Seen['finish']>> = {
  end_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'refused',
};

function readMessage(message: Message): Asked {
  const text = message.content.flatMap(block => (block.type === 'text' ? [block.text] : [])).join('');
  const isRefusal = message.stop_reason === 'refusal';
  const calls = message.content.flatMap(block =>
    block.type === 'tool_use' ? [{ name: block.name, arguments: block.input }] : [],
  );
  const { usage } = message;
  return {
    seen: {
      text: isRefusal ? '' : text,
      refusal: isRefusal ? text : '',
      calls,
      finish: messageFinishes[message.stop_reason ?? ''] ?? 'stop',
      inputTokens:
        usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0),
      cachedTokens: usage.cache_read_input_tokens ?? 0,
      outputTokens: usage.output_tokens,
    },
    message: {
      blocks: message.content.map(block => {
        if (block.type === 'tool_use') return { type: block.type, name: block.name, input: block.input };
        if (block.type === 'text') return { type: block.type, text: block.text };
        return block.type === 'thinking' ? { type: block.type, thinking: block.thinking } : block.type;
      }),
      stop_reason: message.stop_reason,
      model: message.model,
      output_tokens: usage.output_tokens,
    },
  };
}
