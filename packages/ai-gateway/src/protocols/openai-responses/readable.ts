import { members, type Readable, scalars } from '../unread.ts';

const mark = 'prompt_cache_breakpoint';
const media: Readonly<Record<string, Readable>> = {
  input_image: members('type', 'image_url', 'file_id', 'detail', mark),
  input_file: members('type', 'filename', 'file_id', 'file_url', 'file_data', 'detail', mark),
  input_audio: { members: { type: 'any', input_audio: members('data', 'format') } },
};
const texts: Readonly<Record<string, Readable>> = {
  input_text: members('type', 'text', mark),
  output_text: members('type', 'text', 'logprobs'),
  text: members('type', 'text'),
};

const message: Readable = {
  members: {
    ...members('type', 'role', 'id', 'status').members,
    content: {
      items: {
        tag: 'type',
        kinds: { ...texts, ...media, refusal: members('type', 'refusal') },
        otherwise: 'any',
      },
      orText: true,
    },
  },
};
const systemMessage: Readable = {
  members: {
    ...members('type', 'role', 'id', 'status').members,
    content: { items: { tag: 'type', kinds: texts }, orText: true },
  },
};
const output: Readable = {
  members: {
    ...members('type', 'id', 'call_id', 'status').members,
    output: { items: { tag: 'type', kinds: { ...texts, ...media }, otherwise: 'any' }, orText: true },
  },
};

const item: Readable = {
  tag: 'type',
  kinds: {
    function_call: members('type', 'id', 'call_id', 'name', 'arguments', 'status'),
    custom_tool_call: members('type', 'id', 'call_id', 'name', 'input', 'status'),
    function_call_output: output,
    custom_tool_call_output: output,
    reasoning: members('type', 'id', 'summary', 'content', 'encrypted_content', 'status'),
  },
  otherwise: 'any',
};

/** What is read of a request below its outermost members. */
export const readableResponses: Readonly<Record<string, Readable>> = {
  ...scalars('number', 'max_output_tokens', 'temperature', 'top_p'),
  ...scalars('flag', 'stream', 'parallel_tool_calls'),
  ...scalars('text', 'instructions', 'user', 'safety_identifier', 'service_tier', 'prompt_cache_key'),
  // Messages may leave out their type.
  input: {
    items: {
      tag: 'role',
      kinds: { system: systemMessage, developer: systemMessage, user: message, assistant: message },
      otherwise: item,
    },
    orText: true,
  },
  tools: {
    items: {
      tag: 'type',
      kinds: {
        function: members('type', 'name', 'description', 'parameters', 'strict'),
        custom: members('type', 'name', 'description', 'format'),
      },
      otherwise: 'any',
    },
  },
  reasoning: members('effort', 'summary'),
  text: {
    members: {
      verbosity: 'any',
      format: {
        tag: 'type',
        kinds: {
          text: members('type'),
          json_object: members('type'),
          json_schema: members('type', 'name', 'description', 'schema', 'strict'),
        },
      },
    },
  },
  tool_choice: { tag: 'type', kinds: { function: 'any', custom: 'any', allowed_tools: 'any' }, orText: true },
  metadata: 'object',
};
