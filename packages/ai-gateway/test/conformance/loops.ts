import Anthropic from '@anthropic-ai/sdk';
import type { MessageParam } from '@anthropic-ai/sdk/resources/messages';
import OpenAI from 'openai';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import type { ResponseInputItem } from 'openai/resources/responses/responses';
import { aiSdkLoops } from './ai-sdk-loops.ts';
import type { Server } from './client.ts';
import { converseLoop } from './converse-loop.ts';
import { geminiLoop } from './gemini-loop.ts';
import { langChainLoops } from './langchain-loops.ts';

export interface Turn {
  readonly text: string;
  readonly calls: readonly string[];
}

/** A client in a tool loop: it keeps the history as its SDK's users do, by pushing back what it was given. */
export interface Loop {
  /** Asks the model, the first time with the prompt, then with the results of the calls of the last turn. */
  turn(model: string): Promise<Turn>;
}

export interface LoopClient {
  readonly name: string;
  readonly protocol: string;
  open(server: Server, prompt: string, isStream: boolean): Loop;
}

const schema = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };

const chat: LoopClient = {
  name: 'openai, chat',
  protocol: 'openai-chat',
  open(server, prompt, isStream) {
    const sdk = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: prompt }];
    return {
      async turn(model) {
        const body = {
          model,
          messages,
          reasoning_effort: 'medium' as const,
          tools: [{ type: 'function' as const, function: { name: 'get_weather', parameters: schema } }],
        };
        const completion = isStream
          ? await sdk.chat.completions.stream(body).finalChatCompletion()
          : await sdk.chat.completions.create(body);
        const message = completion.choices[0]?.message;
        if (!message) throw new Error('no message');
        messages.push(message);
        const calls = message.tool_calls ?? [];
        for (const call of calls) messages.push({ role: 'tool', tool_call_id: call.id, content: 'Sunny' });
        return { text: message.content ?? '', calls: calls.map(call => call.id) };
      },
    };
  },
};

const responses: LoopClient = {
  name: 'openai, responses',
  protocol: 'openai-responses',
  open(server, prompt, isStream) {
    const sdk = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const input: ResponseInputItem[] = [{ role: 'user', content: prompt }];
    return {
      async turn(model) {
        const body = {
          model,
          input,
          store: false,
          include: ['reasoning.encrypted_content' as const],
          reasoning: { effort: 'medium' as const, summary: 'auto' as const },
          tools: [{ type: 'function' as const, name: 'get_weather', parameters: schema, strict: false }],
        };
        const response = isStream
          ? await sdk.responses.stream(body).finalResponse()
          : await sdk.responses.create(body);
        input.push(...(response.output as ResponseInputItem[])); // as the guide of the API shows
        const calls = response.output.flatMap(item => (item.type === 'function_call' ? [item.call_id] : []));
        for (const call_id of calls) input.push({ type: 'function_call_output', call_id, output: 'Sunny' });
        return { text: response.output_text, calls };
      },
    };
  },
};

const messages: LoopClient = {
  name: '@anthropic-ai/sdk, messages',
  protocol: 'anthropic-messages',
  open(server, prompt, isStream) {
    const sdk = new Anthropic({ baseURL: server.url, apiKey: server.key, maxRetries: 0 });
    const history: MessageParam[] = [{ role: 'user', content: prompt }];
    return {
      async turn(model) {
        const body = {
          model,
          max_tokens: 4000,
          messages: history,
          thinking: { type: 'enabled' as const, budget_tokens: 2000 },
          tools: [{ name: 'get_weather', input_schema: schema }],
        };
        const message = isStream
          ? await sdk.messages.stream(body).finalMessage()
          : await sdk.messages.create(body);
        history.push({ role: 'assistant', content: message.content });
        const calls = message.content.flatMap(block => (block.type === 'tool_use' ? [block.id] : []));
        if (calls.length > 0) {
          history.push({
            role: 'user',
            content: calls.map(id => ({ type: 'tool_result', tool_use_id: id, content: 'Sunny' })),
          });
        }
        const text = message.content.flatMap(block => (block.type === 'text' ? [block.text] : [])).join('');
        return { text, calls };
      },
    };
  },
};

/** Every client that can keep a tool loop. A new protocol is a line here. */
export const loopClients: readonly LoopClient[] = [
  chat,
  responses,
  messages,
  geminiLoop,
  converseLoop,
  ...aiSdkLoops,
  ...langChainLoops,
];
