import { type Json, named, type OddStream, odd, oslo, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('cohere-chat', name, parts, seen);

const cohereStart = named({ type: 'message-start', id: 'c1', delta: { message: { role: 'assistant' } } });
const cohereText = (type: string, value: Json) =>
  named({ type, index: 0, delta: { message: { content: value } } });
const cohereEnd = (finish_reason: string) =>
  named({
    type: 'message-end',
    delta: {
      finish_reason,
      usage: {
        billed_units: { input_tokens: 10, output_tokens: 4 },
        tokens: { input_tokens: 10, output_tokens: 4 },
        cached_tokens: 2,
      },
    },
  });
const cohereCall = (index: number, { name, arguments: args }: Sight['calls'][number]) => {
  const tool_calls = { id: `call_${index}`, type: 'function', function: { name, arguments: '' } };
  return [
    named({ type: 'tool-call-start', index, delta: { message: { tool_calls } } }),
    named({
      type: 'tool-call-delta',
      index,
      delta: { message: { tool_calls: { function: { arguments: args } } } },
    }),
    named({ type: 'tool-call-end', index }),
  ].join('');
};
const cohereReasons = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop',
  OF_TOMORROW: 'stop',
  MAX_TOKENS: 'length',
  ERROR_LIMIT: 'length',
  ERROR_TOXIC: 'refused',
} as const;

export const cohereOddities: readonly OddStream[] = [
  of(
    'events nobody knows, thinking, a citation',
    [
      cohereStart,
      named({ type: 'debug-of-tomorrow', prompt: 'x' }),
      cohereText('content-start', { type: 'thinking', thinking: 'Hm.' }),
      named({ type: 'content-end', index: 0 }),
      cohereText('content-start', { type: 'text', text: '' }),
      cohereText('content-delta', { text: 'Hello.' }),
      named({
        type: 'citation-start',
        index: 0,
        delta: {
          message: {
            citations: {
              start: 0,
              end: 5,
              text: 'Hello',
              sources: [{ type: 'document', document: { url: 'https://a.example' } }],
            },
          },
        },
      }),
      named({ type: 'citation-end', index: 0 }),
      named({ type: 'content-end', index: 0 }),
      cohereEnd('COMPLETE'),
    ],
    {},
  ),
  of(
    'a plan, then two calls',
    [
      cohereStart,
      named({ type: 'tool-plan-delta', delta: { message: { tool_plan: 'I will look.' } } }),
      cohereCall(0, rome),
      cohereCall(1, oslo),
      cohereEnd('TOOL_CALL'),
    ],
    { text: '', calls: [rome, oslo], finish: 'tool-calls' },
  ),
  ...Object.entries(cohereReasons).map(([reason, finish]) =>
    of(
      `finishes with ${reason}`,
      [
        cohereStart,
        cohereText('content-start', { type: 'text', text: 'Hello.' }),
        named({ type: 'content-end', index: 0 }),
        cohereEnd(reason),
      ],
      { finish },
    ),
  ),
];
