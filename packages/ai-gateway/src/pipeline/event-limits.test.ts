import { expect, test } from 'vitest';
import { scanObject } from '../domain/json-scan.ts';
import { gemini } from '../protocols/gemini/gemini.ts';
import { openaiChat } from '../protocols/openai-chat/openai-chat.ts';
import { raw } from '../protocols/same-protocol/raw.ts';
import { sameProtocolApis } from '../protocols/same-protocol/same-protocol.ts';
import { eventLimits } from './event-limits.ts';

const mebibyte = 1024 ** 2;

function mebibytes(protocol: Parameters<typeof eventLimits>[1], asked: object): number | undefined {
  const body = Buffer.from(JSON.stringify(asked));
  const request = {
    body,
    scanned: scanObject(body),
    model: 'm',
    isStream: true,
    wantsStreamUsage: true,
  };
  const limits = eventLimits(request, protocol);
  return limits?.maxEventBytes === undefined ? undefined : limits.maxEventBytes / mebibyte;
}

const prompt = 'Say "IMAGE", "imageConfig", "modalities": ["image"] and "image_generation".';

test.each<[string, object, number | undefined]>([
  ['text', { messages: [{ role: 'user', content: 'Hi' }] }, undefined],
  ['a prompt that names them all', { messages: [{ content: prompt }, { modalities: ['image'] }] }, undefined],
  ['text alone, in so many words', { modalities: ['text'] }, undefined],
  ['pictures', { modalities: ['text', 'image'] }, 64],
  ['sound', { modalities: ['text', 'audio'] }, 64],
  ['a form of picture', { image_config: { aspect_ratio: '1:1' } }, 64],
  ['a tool that makes pictures', { tools: [{ type: 'image_generation' }] }, 64],
  [
    'a function of that description',
    { tools: [{ name: 'x', description: 'draws by image_generation' }] },
    undefined,
  ],
  ['of Gemini', { generationConfig: { responseModalities: ['IMAGE'] } }, 64],
])('%s', (_what, asked, expected) => {
  expect(mebibytes(openaiChat, asked)).toBe(expected);
});

test('where pictures may come unasked, and where they are all there is', () => {
  expect(mebibytes(gemini, {})).toBe(12);
  expect(mebibytes(raw, {})).toBe(64);
  const limits = sameProtocolApis.map(({ path, protocol }) => [path, mebibytes(protocol, {})]);
  expect(Object.fromEntries(limits)).toEqual({
    '/v1/completions': undefined,
    '/v1/embeddings': undefined,
    '/v1/moderations': undefined,
    '/v1/images/generations': 64,
    '/v1/images/edits': 64,
    '/v1/images/variations': 64,
    '/v1/audio/speech': 64,
    '/v1/audio/transcriptions': undefined,
    '/v1/audio/translations': undefined,
    '/v1/rerank': undefined,
    '/v2/rerank': undefined,
    '/v2/embed': undefined,
  });
});
