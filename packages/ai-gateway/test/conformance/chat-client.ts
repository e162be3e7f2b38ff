import OpenAI from 'openai';
import type { ChatCompletion, ChatCompletionCreateParams } from 'openai/resources/chat/completions';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client } from './client.ts';

export const chatClient: Client = {
  name: 'openai, chat',
  protocol: 'openai-chat',
  async ask(server, model, test, isStream) {
    const sdk = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const body = chatBody(model, test);
    const completion = isStream
      ? await sdk.chat.completions
          .stream({ ...body, stream: true, stream_options: { include_usage: true } })
          .finalChatCompletion()
      : await sdk.chat.completions.create({ ...body, stream: false });
    return readChat(completion);
  },
};

function chatBody(model: string, test: Case): Omit<ChatCompletionCreateParams, 'stream'> {
  const { prompt, system, image, pdf, tools, forcedTool, schema, stop, thinks } = test;
  return {
    model,
    max_completion_tokens: 4000,
    messages: [
      ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
      {
        role: 'user',
        content: [
          { type: 'text', text: prompt },
          ...(image === undefined
            ? []
            : [{ type: 'image_url' as const, image_url: { url: `data:image/png;base64,${image}` } }]),
          ...(pdf === undefined
            ? []
            : [
                {
                  type: 'file' as const,
                  file: { filename: 'page.pdf', file_data: `data:application/pdf;base64,${pdf}` },
                },
              ]),
        ],
      },
    ],
    ...(stop && { stop: [stop] }),
    ...(forcedTool && { tool_choice: { type: 'function' as const, function: { name: forcedTool } } }),
    ...(tools && {
      tools: tools.map(({ name, schema: parameters }) => ({
        type: 'function' as const,
        function: { name, parameters },
      })),
    }),
    ...(schema && {
      response_format: {
        type: 'json_schema' as const,
        json_schema: { name: 'answer', strict: true, schema },
      },
    }),
    ...(thinks && { reasoning_effort: 'medium' as const }),
  };
}

const chatFinishes: Readonly<Record<string, Seen['finish']>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  content_filter: 'refused',
};

function readChat(completion: ChatCompletion): Asked {
  const [choice] = completion.choices;
  if (!choice) throw new Error('no choice');
  const { message, finish_reason } = choice;
  const calls = (message.tool_calls ?? []).map(call => {
    if (call.type !== 'function') throw new Error(call.type);
    return { name: call.function.name, arguments: JSON.parse(call.function.arguments) as unknown };
  });
  const refusal = message.refusal ?? '';
  const finish = refusal ? 'refused' : (chatFinishes[finish_reason] ?? 'stop');
  const text = message.content ?? '';
  return {
    seen: {
      // A protocol whose stop reason alone says that a text refuses tells it too late for a field of its own.
      text: finish === 'refused' ? '' : text,
      refusal: finish === 'refused' ? refusal || text : '',
      calls,
      finish,
      inputTokens: completion.usage?.prompt_tokens ?? 0,
      cachedTokens: completion.usage?.prompt_tokens_details?.cached_tokens ?? 0,
      outputTokens: completion.usage?.completion_tokens ?? 0,
    },
    message: {
      content: message.content ?? '',
      refusal,
      calls,
      finish_reason,
      model: completion.model,
      usage: completion.usage,
    },
  };
}
