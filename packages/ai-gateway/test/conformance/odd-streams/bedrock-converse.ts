import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import { type Json, type OddStream, odd, oslo, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('bedrock-converse', name, parts, seen);

const frame = (type: string, payload: Json) => formatAwsEvent({ messageType: 'event', type, payload });
const converseDelta = (contentBlockIndex: number, value: Json) =>
  frame('contentBlockDelta', { contentBlockIndex, delta: value, p: 'abcdefgh' });
const converseStop = (contentBlockIndex: number) => frame('contentBlockStop', { contentBlockIndex });
const converseStart = frame('messageStart', { role: 'assistant', p: 'abc' });
const converseUse = (contentBlockIndex: number, args: string) => [
  frame('contentBlockStart', {
    contentBlockIndex,
    start: { toolUse: { toolUseId: `tooluse_${contentBlockIndex}`, name: 'get_weather' } },
  }),
  converseDelta(contentBlockIndex, { toolUse: { input: args.slice(0, 5) } }),
  converseDelta(contentBlockIndex, { toolUse: { input: args.slice(5) } }),
  converseStop(contentBlockIndex),
];
const metadata = frame('metadata', {
  usage: {
    inputTokens: 3,
    cacheReadInputTokens: 2,
    cacheWriteInputTokens: 5,
    cacheDetails: [{ ttl: '1h', inputTokens: 4 }],
    outputTokens: 4,
    totalTokens: 14,
  },
  metrics: { latencyMs: 1 },
  serviceTier: { type: 'flex' },
});
const converseEnd = (stopReason: string) => [frame('messageStop', { stopReason }), metadata];

const converseReasons = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  of_tomorrow: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  guardrail_intervened: 'refused',
  content_filtered: 'refused',
} as const;

export const converseOddities: readonly OddStream[] = [
  of(
    'events and deltas nobody knows, padding, citations',
    [
      converseStart,
      frame('ofTomorrow', { contentBlockIndex: 0 }),
      converseDelta(0, { text: 'Hel' }),
      converseDelta(0, { ofTomorrow: 1 }),
      converseDelta(0, { text: 'lo.' }),
      converseDelta(0, {
        citation: {
          title: 'A',
          sourceContent: [{ text: 'a' }],
          location: { web: { url: 'https://a.example' } },
        },
      }),
      converseStop(0),
      ...converseEnd('end_turn'),
    ],
    {},
  ),
  of(
    'reasoning sealed and hidden, two calls',
    [
      converseStart,
      converseDelta(0, { reasoningContent: { text: 'Hm.' } }),
      converseDelta(0, { reasoningContent: { signature: 'c2ln' } }),
      converseStop(0),
      converseDelta(1, { reasoningContent: { redactedContent: 'aGlkZGVu' } }),
      converseStop(1),
      ...converseUse(2, rome.arguments),
      ...converseUse(3, oslo.arguments),
      ...converseEnd('tool_use'),
    ],
    { text: '', calls: [rome, oslo], finish: 'tool-calls' },
  ),
  of(
    'no metadata',
    [
      converseStart,
      converseDelta(0, { text: 'Hello.' }),
      converseStop(0),
      frame('messageStop', { stopReason: 'end_turn' }),
    ],
    { inputTokens: 0, outputTokens: 0 },
  ),
  ...Object.entries(converseReasons).map(([reason, finish]) =>
    of(
      `stops with ${reason}`,
      [converseStart, converseDelta(0, { text: 'Hello.' }), converseStop(0), ...converseEnd(reason)],
      { finish },
    ),
  ),
];
