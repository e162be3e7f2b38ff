import { members, type Readable, scalars } from '../unread.ts';

const text: Readable = members('type', 'text', 'cache_control');
const media: Readonly<Record<string, Readable>> = {
  image: members('type', 'source', 'cache_control'),
  document: members('type', 'source', 'title', 'context', 'citations', 'cache_control'),
  search_result: members('type', 'source', 'title', 'content', 'citations', 'cache_control'),
};
const texts: Readable = { items: { tag: 'type', kinds: { text } }, orText: true };

const blocks: Readable = {
  items: {
    tag: 'type',
    kinds: {
      text,
      ...media,
      tool_use: members('type', 'id', 'name', 'input', 'cache_control'),
      tool_result: {
        members: {
          ...members('type', 'tool_use_id', 'is_error', 'cache_control').members,
          content: { items: { tag: 'type', kinds: { text, ...media }, otherwise: 'any' }, orText: true },
        },
      },
    },
    otherwise: 'any',
  },
  orText: true,
};
const message: Readable = { members: { role: 'any', content: blocks } };

/** Of a tool that the client runs; others are the vendor's own and pass whole. */
const tool: Readable = members('type', 'name', 'description', 'input_schema', 'strict', 'cache_control');

/** What is read of a request below its outermost members. */
export const readableMessages: Readonly<Record<string, Readable>> = {
  ...scalars('number', 'max_tokens', 'temperature', 'top_p', 'top_k'),
  ...scalars('flag', 'stream'),
  ...scalars('text', 'service_tier'),
  stop_sequences: 'texts',
  messages: {
    items: {
      tag: 'role',
      kinds: { user: message, assistant: message, system: { members: { role: 'any', content: texts } } },
    },
  },
  system: texts,
  tools: { items: { tag: 'type', kinds: { custom: tool }, otherwise: tool } },
  metadata: members('user_id'),
  output_config: {
    members: {
      effort: 'any',
      format: { tag: 'type', kinds: { json_schema: members('type', 'schema') } },
    },
  },
  thinking: {
    tag: 'type',
    kinds: {
      enabled: members('type', 'budget_tokens', 'display'),
      adaptive: members('type', 'display'),
      disabled: members('type'),
    },
  },
  tool_choice: {
    tag: 'type',
    kinds: {
      auto: members('type', 'disable_parallel_tool_use'),
      any: members('type', 'disable_parallel_tool_use'),
      tool: members('type', 'name', 'disable_parallel_tool_use'),
      none: members('type'),
    },
  },
};
