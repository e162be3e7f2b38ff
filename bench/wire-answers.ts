const usage = { prompt_tokens: 14, completion_tokens: 9, total_tokens: 23 };
const text = 'Hello there, it is good to see you.';

const chat = {
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_763_942_400,
  model: 'gpt-5-mini',
  choices: [
    { index: 0, message: { role: 'assistant', content: text, refusal: null }, finish_reason: 'stop' },
  ],
  usage,
};

const message = {
  id: 'msg_bench',
  type: 'message',
  role: 'assistant',
  model: 'claude-bench',
  content: [{ type: 'text', text }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 14, output_tokens: 9 },
};

const chatAnswer = http(JSON.stringify(chat));
const messageAnswer = http(JSON.stringify(message));

/** The whole answer of the protocol that the path belongs to. */
export function wholeAnswer(head: string): Buffer {
  return isMessages(head) ? messageAnswer : chatAnswer;
}

/** The events of a streamed answer with so many text deltas. */
export function streamEvents(head: string, deltas: number): readonly string[] {
  return isMessages(head) ? messageEvents(deltas) : chatEvents(deltas);
}

function isMessages(head: string): boolean {
  return head.startsWith('POST /v1/messages');
}

function http(body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function chatEvents(deltas: number): string[] {
  const { id, created, model } = chat;
  const chunk = (choices: object[], more: object = {}) =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more })}\n\n`;
  const delta = (value: object, finish: string | null = null) =>
    chunk([{ index: 0, delta: value, finish_reason: finish }]);
  return [
    delta({ role: 'assistant', content: '' }),
    ...Array.from({ length: deltas }, () => delta({ content: 'hello ' })),
    delta({}, 'stop'),
    chunk([], { usage }),
    'data: [DONE]\n\n',
  ];
}

function messageEvents(deltas: number): string[] {
  const event = (data: { type: string; [key: string]: unknown }) =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
  return [
    event({ type: 'message_start', message: { ...message, content: [], stop_reason: null } }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    ...Array.from({ length: deltas }, () =>
      event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello ' } }),
    ),
    event({ type: 'content_block_stop', index: 0 }),
    event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } }),
    event({ type: 'message_stop' }),
  ];
}
