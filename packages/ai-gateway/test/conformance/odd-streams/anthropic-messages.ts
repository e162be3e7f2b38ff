import { type Json, named, type OddStream, odd, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('anthropic-messages', name, parts, seen);

const messageStart = named({
  type: 'message_start',
  message: {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'm',
    content: [],
    usage: {
      input_tokens: 3,
      cache_read_input_tokens: 2,
      cache_creation_input_tokens: 5,
      cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 4 },
      output_tokens: 1,
      service_tier: 'priority',
    },
  },
});
const block = (index: number, content_block: Json, ...deltas: readonly Json[]) =>
  [
    named({ type: 'content_block_start', index, content_block }),
    ...deltas.map(each => named({ type: 'content_block_delta', index, delta: each })),
    named({ type: 'content_block_stop', index }),
  ].join('');
const hello = (index = 0) =>
  block(
    index,
    { type: 'text', text: '' },
    { type: 'text_delta', text: 'Hel' },
    { type: 'text_delta', text: 'lo.' },
  );
const messageEnd = (stop_reason: string) =>
  named({
    type: 'message_delta',
    delta: { stop_reason, stop_sequence: null, container: null },
    usage: { output_tokens: 4, output_tokens_details: { thinking_tokens: 1 }, input_tokens: null },
  }) + named({ type: 'message_stop' });

const stopReasons = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  of_tomorrow: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  refusal: 'refused',
} as const;

export const anthropicOddities: readonly OddStream[] = [
  of(
    'pings, events, blocks and deltas nobody knows',
    [
      named({ type: 'ping' }),
      messageStart,
      named({ type: 'ping' }),
      named({ type: 'of_tomorrow', index: 0 }),
      block(0, { type: 'of_tomorrow', value: 1 }, { type: 'of_tomorrow_delta', value: 2 }),
      block(1, { type: 'text', text: '' }, { type: 'text_delta', text: '' }, { type: 'odd_delta' }),
      hello(2),
      messageEnd('end_turn'),
    ],
    {},
  ),
  of(
    'thinking sealed, thinking hidden, a call without deltas, a call in empty ones',
    [
      messageStart,
      block(
        0,
        { type: 'thinking', thinking: '', signature: '' },
        { type: 'thinking_delta', thinking: 'Hm.' },
        { type: 'signature_delta', signature: 'c2ln' },
      ),
      block(1, { type: 'redacted_thinking', data: 'aGlkZGVu' }),
      block(2, { type: 'tool_use', id: 'toolu_1', name: 'get_time', input: {} }),
      block(
        3,
        { type: 'tool_use', id: 'toolu_2', name: 'get_weather', input: {} },
        { type: 'input_json_delta', partial_json: '' },
        { type: 'input_json_delta', partial_json: rome.arguments },
        { type: 'input_json_delta', partial_json: '' },
      ),
      messageEnd('tool_use'),
    ],
    { text: '', calls: [{ name: 'get_time', arguments: '' }, rome], finish: 'tool-calls' },
  ),
  of(
    'a hosted search and citations of two kinds',
    [
      messageStart,
      block(
        0,
        { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} },
        { type: 'input_json_delta', partial_json: '{"query":"x"}' },
      ),
      block(1, { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] }),
      block(
        2,
        { type: 'text', text: '', citations: [] },
        { type: 'text_delta', text: 'Hello.' },
        {
          type: 'citations_delta',
          citation: {
            type: 'web_search_result_location',
            url: 'https://a.example',
            title: 'A',
            cited_text: 'a',
          },
        },
        {
          type: 'citations_delta',
          citation: { type: 'char_location', document_index: 0, start_char_index: 0, end_char_index: 1 },
        },
      ),
      messageEnd('end_turn'),
    ],
    {},
  ),
  ...Object.entries(stopReasons).map(([reason, finish]) =>
    of(`stops with ${reason}`, [messageStart, hello(), messageEnd(reason)], { finish }),
  ),
];
