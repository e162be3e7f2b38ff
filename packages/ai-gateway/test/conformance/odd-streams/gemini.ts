import { data, type Json, type OddStream, odd, oslo, rome, type Sight } from './odd-stream.ts';

const of = (name: string, parts: readonly (string | Buffer)[], seen: Partial<Sight>) =>
  odd('gemini', name, parts, seen);

const geminiUsage = {
  promptTokenCount: 8,
  toolUsePromptTokenCount: 2,
  cachedContentTokenCount: 3,
  candidatesTokenCount: 3,
  thoughtsTokenCount: 1,
  totalTokenCount: 14,
  trafficType: 'ON_DEMAND',
};
const parts = (list: readonly Json[], more: Json = {}, top: Json = {}) =>
  data({
    candidates: [{ content: { role: 'model', parts: list }, index: 0, ...more }],
    modelVersion: 'm',
    responseId: 'r1',
    ...top,
  });
const geminiEnd = (finishReason: string) =>
  parts([{ text: '' }], { finishReason, safetyRatings: [] }, { usageMetadata: geminiUsage });

const geminiReasons = {
  STOP: 'stop',
  CONTINUATION: 'stop',
  OF_TOMORROW: 'stop',
  LANGUAGE: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'refused',
  RECITATION: 'refused',
  PROHIBITED_CONTENT: 'refused',
  SPII: 'refused',
} as const;

export const geminiOddities: readonly OddStream[] = [
  of(
    'parts nobody knows, code it ran, a chunk without candidates, grounding',
    [
      data({ usageMetadata: { promptTokenCount: 8 }, modelVersion: 'm', responseId: 'r1' }),
      parts([{ text: 'Hm.', thought: true }, { ofTomorrow: {} }]),
      parts([
        { executableCode: { language: 'PYTHON', code: '1' } },
        { codeExecutionResult: { outcome: 'OUTCOME_OK' } },
      ]),
      parts([{ text: 'Hel' }]),
      parts([{ text: 'lo.' }], {
        groundingMetadata: {
          groundingChunks: [{ web: { uri: 'https://a.example', title: 'A' } }],
          groundingSupports: [{ segment: { endIndex: 5, text: 'Hello' }, groundingChunkIndices: [0, 7] }],
        },
        citationMetadata: { citations: [{ uri: 'https://b.example', startIndex: 0, endIndex: 2 }] },
      }),
      parts([{ text: '', thoughtSignature: 'c2ln' }]),
      geminiEnd('STOP'),
    ],
    {},
  ),
  of(
    'calls without ids, the first of them signed, in one chunk',
    [
      parts([
        { functionCall: { name: 'get_weather', args: { city: 'Rome' } }, thoughtSignature: 'c2ln' },
        { functionCall: { name: 'get_weather', args: { city: 'Oslo' } } },
        { functionCall: { name: 'get_time' } },
      ]),
      geminiEnd('STOP'),
    ],
    { text: '', calls: [rome, oslo, { name: 'get_time', arguments: '' }], finish: 'tool-calls' },
  ),
  of(
    'a prompt that is blocked',
    [
      data({
        promptFeedback: { blockReason: 'SAFETY' },
        usageMetadata: { promptTokenCount: 10 },
        responseId: 'r1',
      }),
    ],
    { text: '', finish: 'refused', outputTokens: 0 },
  ),
  ...Object.entries(geminiReasons).map(([reason, finish]) =>
    of(`ends with ${reason}`, [parts([{ text: 'Hello.' }]), geminiEnd(reason)], { finish }),
  ),
];
