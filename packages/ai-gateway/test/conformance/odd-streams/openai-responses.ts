import { type Json, named, type OddStream, odd, oslo, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('openai-responses', name, parts, seen);

const created = named({ type: 'response.created', response: { id: 'resp_1', model: 'm', output: [] } });
const responseEnd = (more: Json = {}) =>
  named({
    type: 'response.completed',
    response: {
      id: 'resp_1',
      status: 'completed',
      usage: { input_tokens: 10, output_tokens: 4, total_tokens: 14 },
      ...more,
    },
  });
const item = (type: 'added' | 'done', output_index: number, value: Json) =>
  named({ type: `response.output_item.${type}`, output_index, item: value });
const message = (text: string) => ({
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [] }],
});
const call = (id: string, args: string) => ({
  type: 'function_call',
  id: `fc_${id}`,
  call_id: id,
  name: 'get_weather',
  arguments: args,
});

export const responsesOddities: readonly OddStream[] = [
  of(
    'queued, events nobody knows, a part that only its end tells',
    [
      created,
      named({ type: 'response.queued' }),
      named({ type: 'response.in_progress' }),
      named({ type: 'response.keepalive.future', nested: { a: [null] } }),
      item('added', 0, { type: 'message', id: 'msg_1', content: [] }),
      named({ type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: '' }),
      item('done', 0, message('Hello.')),
      responseEnd({ service_tier: 'priority', x_new: 1 }),
    ],
    {},
  ),
  of(
    'a hosted search with its citations',
    [
      created,
      item('added', 0, { type: 'web_search_call', id: 'ws_1', status: 'in_progress' }),
      named({ type: 'response.web_search_call.searching', output_index: 0 }),
      item('done', 0, { type: 'web_search_call', id: 'ws_1', status: 'completed' }),
      item('added', 1, { type: 'message', id: 'msg_1', content: [] }),
      named({ type: 'response.output_text.delta', output_index: 1, content_index: 0, delta: 'Hello.' }),
      named({
        type: 'response.output_text.annotation.added',
        output_index: 1,
        content_index: 0,
        annotation: {
          type: 'url_citation',
          url: 'https://a.example',
          title: 'A',
          start_index: 0,
          end_index: 5,
        },
      }),
      item('done', 1, message('Hello.')),
      responseEnd(),
    ],
    {},
  ),
  of(
    'two calls at once, sealed reasoning before them',
    [
      created,
      item('added', 0, { type: 'reasoning', id: 'rs_1', summary: [] }),
      named({
        type: 'response.reasoning_summary_text.delta',
        output_index: 0,
        summary_index: 0,
        delta: 'Two cities.',
      }),
      item('done', 0, {
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 'Two cities.' }],
        encrypted_content: 'gAAAA',
      }),
      item('added', 1, call('a', '')),
      item('added', 2, call('b', '')),
      named({ type: 'response.function_call_arguments.delta', output_index: 2, delta: oslo.arguments }),
      named({ type: 'response.function_call_arguments.delta', output_index: 1, delta: '{"city":' }),
      item('done', 2, call('b', oslo.arguments)),
      item('done', 1, call('a', rome.arguments)),
      responseEnd(),
    ],
    { text: '', calls: [rome, oslo], finish: 'tool-calls' },
  ),
  of(
    'a refusal',
    [
      created,
      item('added', 0, { type: 'message', id: 'msg_1', content: [] }),
      named({ type: 'response.refusal.delta', output_index: 0, content_index: 0, delta: 'I cannot.' }),
      named({ type: 'response.refusal.done', output_index: 0, content_index: 0, refusal: 'I cannot.' }),
      responseEnd(),
    ],
    { text: 'I cannot.', finish: 'refused' },
  ),
  ...(['max_output_tokens', 'content_filter', 'steered'] as const).map(reason =>
    of(
      `incomplete: ${reason}`,
      [
        created,
        item('done', 0, message('Hello.')),
        named({
          type: 'response.incomplete',
          response: {
            status: 'incomplete',
            incomplete_details: { reason },
            usage: { input_tokens: 10, output_tokens: 4 },
          },
        }),
      ],
      {
        finish: { max_output_tokens: 'length', content_filter: 'refused', steered: 'stop' }[reason] as 'stop',
      },
    ),
  ),
];
