import { members, type Readable, scalars } from '../unread.ts';

const cache = ['cache_control', 'prompt_cache_breakpoint'];

const parts = (kinds: Readonly<Record<string, Readable>>): Readable => ({
  items: { tag: 'type', kinds },
  orText: true,
});

const text: Readable = members('type', 'text', ...cache);
const media: Readonly<Record<string, Readable>> = {
  image_url: {
    members: {
      type: 'any',
      image_url: { ...members('url', 'detail'), orText: true },
      cache_control: 'any',
      prompt_cache_breakpoint: 'any',
    },
  },
  input_audio: {
    members: {
      type: 'any',
      input_audio: members('data', 'format'),
      cache_control: 'any',
      prompt_cache_breakpoint: 'any',
    },
  },
  file: {
    members: {
      type: 'any',
      file: members('file_id', 'file_data', 'filename'),
      cache_control: 'any',
      prompt_cache_breakpoint: 'any',
    },
  },
};
const content: Readable = {
  items: { tag: 'type', kinds: { text, refusal: members('type', 'refusal'), ...media }, otherwise: 'any' },
  orText: true,
};

const message = (inner: Readable, ...names: readonly string[]): Readable => ({
  members: { ...members('role', ...names).members, content: inner },
});

const calls: Readable = {
  items: {
    tag: 'type',
    kinds: {
      function: { members: { id: 'any', index: 'any', type: 'any', function: members('name', 'arguments') } },
      custom: { members: { id: 'any', index: 'any', type: 'any', custom: members('name', 'input') } },
    },
    otherwise: 'any',
  },
};

/** What is read of a request below its outermost members. */
export const readableChat: Readonly<Record<string, Readable>> = {
  ...scalars('number', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'top_k', 'seed'),
  ...scalars('number', 'presence_penalty', 'frequency_penalty'),
  ...scalars('flag', 'stream', 'parallel_tool_calls'),
  ...scalars(
    'text',
    'reasoning_effort',
    'verbosity',
    'user',
    'safety_identifier',
    'service_tier',
    'prompt_cache_key',
  ),
  messages: {
    items: {
      tag: 'role',
      kinds: {
        system: message(parts({ text })),
        developer: message(parts({ text })),
        user: message(content),
        assistant: {
          members: {
            ...members('role', 'refusal', 'reasoning_content', 'reasoning', 'annotations', 'images').members,
            content,
            tool_calls: calls,
          },
        },
        tool: message(parts({ text, ...media }), 'tool_call_id'),
      },
    },
  },
  tools: {
    items: {
      tag: 'type',
      kinds: {
        function: {
          members: {
            type: 'any',
            cache_control: 'any',
            function: members('name', 'description', 'parameters', 'strict'),
          },
        },
        custom: { members: { type: 'any', custom: members('name', 'description', 'format') } },
      },
      otherwise: 'any',
    },
  },
  stream_options: members('include_usage', 'include_obfuscation'),
  response_format: {
    tag: 'type',
    kinds: {
      text: members('type'),
      json_object: members('type'),
      json_schema: {
        members: { type: 'any', json_schema: members('name', 'description', 'schema', 'strict') },
      },
    },
  },
  tool_choice: {
    tag: 'type',
    kinds: { function: 'any', custom: 'any', allowed_tools: 'any' },
    orText: true,
  },
  stop: 'textOrTexts',
  metadata: 'object',
};
