import { data, type Json, type OddStream, odd, oslo, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('openai-chat', name, parts, seen);

const chunk = (choices: readonly Json[], more: Json = {}) =>
  data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...more });
const delta = (value: Json, finish: string | null = null) =>
  chunk([{ index: 0, delta: value, finish_reason: finish, logprobs: null }]);
const chatUsage = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };
const chatEnd = [chunk([], { usage: chatUsage }), 'data: [DONE]\n\n'];
const toolDelta = (index: number, call: Json) => delta({ tool_calls: [{ index, ...call }] });

export const chatOddities: readonly OddStream[] = [
  of(
    'unknown members, empty deltas, comments and other line ends',
    [
      chunk([], { prompt_filter_results: [{ prompt_index: 0 }] }),
      ': OPENROUTER PROCESSING\r\n\r\n',
      delta({ role: 'assistant', content: null, x_new: [1] }).replaceAll('\n', '\r\n'),
      delta({}),
      delta({ content: '' }).replaceAll('\n', '\r'),
      delta({ content: 'Hel' }).replace('data: ', 'data:'),
      delta({ content: 'lo.', obfuscation: 'abc' }),
      delta({}, 'stop'),
      ...chatEnd,
    ],
    {},
  ),
  of(
    'usage in each chunk and beside the finish, a reason nobody knows, no [DONE]',
    [
      chunk([{ index: 0, delta: { content: 'Hello.' } }], { usage: { ...chatUsage, completion_tokens: 1 } }),
      chunk([{ index: 0, delta: {}, finish_reason: 'eos' }], { x_groq: { usage: chatUsage } }),
    ],
    {},
  ),
  of(
    'calls that interleave, and begin at 1',
    [
      toolDelta(1, { id: 'a', type: 'function', function: { name: 'get_weather', arguments: '{"city"' } }),
      toolDelta(2, { id: 'b', type: 'function', function: { name: 'get_weather', arguments: '{"ci' } }),
      toolDelta(1, { function: { arguments: ':"Rome"}' } }),
      toolDelta(2, { function: { arguments: 'ty":"Oslo"}' } }),
      delta({}, 'stop'),
      ...chatEnd,
    ],
    { text: '', calls: [rome, oslo], finish: 'tool-calls' },
  ),
  of(
    'calls that are all number 0, without deltas',
    [
      toolDelta(0, { id: 'a', type: 'function', function: rome }),
      toolDelta(0, { id: 'b', type: 'function', function: oslo }),
      delta({}, 'tool_calls'),
      ...chatEnd,
    ],
    { text: '', calls: [rome, oslo], finish: 'tool-calls' },
  ),
  of(
    'reasoning of a vendor, a refusal, a tier of service',
    [
      delta({ reasoning_content: 'Hm.' }),
      delta({ refusal: 'I can' }),
      delta({ refusal: 'not.' }),
      chunk([{ index: 0, delta: {}, finish_reason: 'stop' }], { service_tier: 'flex', usage: chatUsage }),
      'data: [DONE]\n\n',
    ],
    { text: 'I cannot.', finish: 'refused' },
  ),
  of(
    'a citation, content as parts, an answer that is filtered',
    [
      delta({ content: [{ type: 'text', text: 'Hello.' }] }),
      delta({
        annotations: [
          {
            type: 'url_citation',
            url_citation: { url: 'https://a.example', title: 'A', start_index: 0, end_index: 5 },
          },
          { type: 'file_citation', file_id: 'f' },
        ],
      }),
      delta({}, 'content_filter'),
      ...chatEnd,
    ],
    { finish: 'refused' },
  ),
];
