import Anthropic from '@anthropic-ai/sdk';
import type { Message, MessageCreateParamsBase } from '@anthropic-ai/sdk/resources/messages';
import OpenAI from 'openai';
import type { ChatCompletion, ChatCompletionCreateParams } from 'openai/resources/chat/completions';
import type { Response, ResponseCreateParamsBase } from 'openai/resources/responses/responses';
import type { Case, Seen } from './cases.ts';
import { converseClient } from './converse-client.ts';
import { geminiClient } from './gemini-client.ts';

export interface Server {
  readonly url: string;
  readonly key: string;
}

export interface Asked {
  readonly seen: Seen;
  /** The SDK's own message, without ids and dates: the same streamed and whole. */
  readonly message: unknown;
}

/** One official SDK that has nothing but its base URL and key changed. */
export interface Client {
  readonly name: string;
  /** Which of the gateway's protocols it speaks. */
  readonly protocol: string;
  ask(server: Server, model: string, test: Case, isStream: boolean): Promise<Asked>;
}

const chat: Client = {
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
  const { prompt, image, tools, schema, thinks } = test;
  return {
    model,
    max_completion_tokens: 4000,
    messages: [
      {
        role: 'user',
        content:
          image === undefined
            ? prompt
            : [
                { type: 'text', text: prompt },
                { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } },
              ],
      },
    ],
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

const responses: Client = {
  name: 'openai, responses',
  protocol: 'openai-responses',
  async ask(server, model, test, isStream) {
    const sdk = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const body = responsesBody(model, test);
    const response = isStream
      ? await sdk.responses.stream(body).finalResponse()
      : await sdk.responses.create({ ...body, stream: false });
    return readResponse(response);
  },
};

function responsesBody(model: string, test: Case): ResponseCreateParamsBase & { stream?: never } {
  const { prompt, image, tools, schema, thinks } = test;
  return {
    model,
    max_output_tokens: 4000,
    store: false,
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: prompt },
          ...(image === undefined
            ? []
            : [
                {
                  type: 'input_image' as const,
                  detail: 'auto' as const,
                  image_url: `data:image/png;base64,${image}`,
                },
              ]),
        ],
      },
    ],
    ...(tools && {
      tools: tools.map(({ name, schema: parameters }) => ({
        type: 'function' as const,
        name,
        parameters,
        strict: false,
      })),
    }),
    ...(schema && {
      text: { format: { type: 'json_schema' as const, name: 'answer', strict: true, schema } },
    }),
    ...(thinks && { reasoning: { effort: 'medium' as const, summary: 'auto' as const } }),
  };
}

function readResponse(response: Response): Asked {
  const parts = response.output.flatMap(item => (item.type === 'message' ? item.content : []));
  const refusal = parts.flatMap(part => (part.type === 'refusal' ? [part.refusal] : [])).join('');
  const text = parts.flatMap(part => (part.type === 'output_text' ? [part.text] : [])).join('');
  const calls = response.output.flatMap(item =>
    item.type === 'function_call'
      ? [{ name: item.name, arguments: JSON.parse(item.arguments) as unknown }]
      : [],
  );
  const why = response.incomplete_details?.reason;
  const isRefused = refusal !== '' || why === 'content_filter';
  const ended = why === 'max_output_tokens' ? 'length' : calls.length > 0 ? 'tool-calls' : 'stop';
  return {
    seen: {
      text: isRefused ? '' : text,
      refusal: isRefused ? refusal || text : '',
      calls,
      finish: isRefused ? 'refused' : ended,
      inputTokens: response.usage?.input_tokens ?? 0,
      outputTokens: response.usage?.output_tokens ?? 0,
    },
    message: {
      output: response.output.map(item => ({
        type: item.type,
        ...(item.type === 'message' && { content: item.content.map(withoutParsed) }),
        ...(item.type === 'function_call' && { name: item.name, arguments: item.arguments }),
        ...(item.type === 'reasoning' && { summary: item.summary }),
      })),
      status: response.status,
      model: response.model,
      usage: response.usage,
    },
  };
}

/** The SDK adds a `parsed` member to what it streams. */
function withoutParsed(part: object): object {
  return Object.fromEntries(Object.entries(part).filter(([key]) => key !== 'parsed'));
}

const messages: Client = {
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
  const { prompt, image, tools, schema, thinks } = test;
  return {
    model,
    max_tokens: 4000,
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

/** Every client. A new protocol is a line here. */
export const clients: readonly Client[] = [chat, responses, messages, geminiClient, converseClient];
