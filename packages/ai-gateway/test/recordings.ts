/** Answers as the two protocols define them, small enough to be replayed at every split and cut at every byte. */

const chunk = (choices: unknown[], more: object = {}) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_763_942_400,
    model: 'gpt-upstream-2026',
    choices,
    ...more,
  })}\n\n`;

const delta = (value: object, finish: string | null = null) => [
  { index: 0, delta: value, finish_reason: finish },
];

export const chatUsage = {
  prompt_tokens: 12,
  completion_tokens: 5,
  total_tokens: 17,
  prompt_tokens_details: { cached_tokens: 4 },
};

export const chatEvents: readonly string[] = [
  chunk(delta({ role: 'assistant', content: '' }), { usage: null }),
  chunk(delta({ content: 'Grüße, ' }), { usage: null }),
  chunk(delta({ content: 'say "usage":{"x":1} and "error" — 世界 🌍' }), { usage: null }),
  ': a comment of the upstream\n\n',
  chunk(
    delta({
      tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }],
    }),
  ),
  chunk(delta({ tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] })),
  chunk(delta({}, 'tool_calls'), { usage: null }),
];

/** The chunk that `include_usage` asks for. */
export const chatUsageEvent = chunk([], { usage: chatUsage });
export const chatDone = 'data: [DONE]\n\n';

export const chatStream = [...chatEvents, chatUsageEvent, chatDone].join('');
/** What a client sees that did not ask for the usage. */
export const chatStreamWithoutUsage = [...chatEvents, chatDone].join('');

/** 8 × $1 + 4 × $0.1 + 5 × $2 a million, in nano-USD. */
export const chatCostNanoUsd = 18_400;

const event = (data: { type: string; [key: string]: unknown }) =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

export const messageEvents: readonly string[] = [
  event({
    type: 'message_start',
    message: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-upstream-2026',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: {
        input_tokens: 8,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 4,
        output_tokens: 1,
      },
    },
  }),
  event({ type: 'ping' }),
  event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
  event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Grüße 世界 🌍' } }),
  event({ type: 'content_block_stop', index: 0 }),
  event({
    type: 'content_block_start',
    index: 1,
    content_block: { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} },
  }),
  event({
    type: 'content_block_delta',
    index: 1,
    delta: { type: 'input_json_delta', partial_json: '{"a":1}' },
  }),
  event({ type: 'content_block_stop', index: 1 }),
  event({
    type: 'message_delta',
    delta: { stop_reason: 'tool_use', stop_sequence: null },
    usage: { output_tokens: 5 },
  }),
  event({ type: 'message_stop' }),
];

export const messageStream = messageEvents.join('');

export const chatCompletion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_763_942_400,
  model: 'gpt-upstream-2026',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Grüße "usage": {"prompt_tokens": 9}', refusal: null },
      finish_reason: 'stop',
      logprobs: null,
    },
  ],
  usage: chatUsage,
};

export const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-upstream-2026',
  content: [{ type: 'text', text: 'Grüße' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 8, cache_creation_input_tokens: 0, cache_read_input_tokens: 4, output_tokens: 5 },
};
