import { type Addition, type Json, schema } from './additions.ts';
import { chat } from './chat.ts';
import { converse } from './converse.ts';
import { gemini } from './gemini.ts';
import { messages } from './messages.ts';
import { responses } from './responses.ts';

/** What a client of each protocol says at the least, and what it can say beside. */
export const requests: Readonly<
  Record<string, { readonly base: Json; readonly additions: readonly Addition[] }>
> = {
  'openai-chat': {
    base: {
      model: 'm',
      messages: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'function', function: { name: 'get', parameters: schema } }],
    },
    additions: chat,
  },
  'openai-responses': {
    base: {
      model: 'm',
      input: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'function', name: 'get', parameters: schema, strict: false }],
    },
    additions: responses,
  },
  'anthropic-messages': {
    base: {
      model: 'm',
      max_tokens: 4000,
      messages: [{ role: 'user', content: 'x' }],
      tools: [{ name: 'get', input_schema: schema }],
    },
    additions: messages,
  },
  gemini: {
    base: {
      contents: [{ role: 'user', parts: [{ text: 'x' }] }],
      tools: [{ functionDeclarations: [{ name: 'get', parameters: { type: 'OBJECT', properties: {} } }] }],
    },
    additions: gemini,
  },
  'bedrock-converse': {
    base: {
      messages: [{ role: 'user', content: [{ text: 'x' }] }],
      toolConfig: { tools: [{ toolSpec: { name: 'get', inputSchema: { json: schema } } }] },
    },
    additions: converse,
  },
};
