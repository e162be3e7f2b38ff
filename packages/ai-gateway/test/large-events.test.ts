import { GoogleGenAI } from '@google/genai';
import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';

/** Pictures come in one event, and are larger than any text. */

const picture = Buffer.alloc(3 * 1024 * 1024, 'a').toString('base64');
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        gemini: { ...own, type: 'gemini', base_url: `${upstream.url}/v1beta` },
        openai: { ...own, type: 'openai', base_url: `${upstream.url}/v1` },
        claude: { ...own, type: 'anthropic', base_url: upstream.url },
      },
      models: {
        gemini: { targets: [{ provider: 'gemini', model: 'gemini-image' }] },
        openai: { targets: [{ provider: 'openai', model: 'gpt-image' }] },
        claude: { targets: [{ provider: 'claude', model: 'claude' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const part = { inlineData: { mimeType: 'image/png', data: picture } };
const geminiChunk = JSON.stringify({
  candidates: [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1290, totalTokenCount: 1291 },
});

describe('a picture of four megabytes in one event', () => {
  test('of Gemini, as it comes and as an array', async () => {
    upstream.use(ssePlan([{ data: geminiChunk }]));
    const genai = new GoogleGenAI({ apiKey: gateway.key, httpOptions: { baseUrl: gateway.url } });
    const seen: (string | undefined)[] = [];
    for await (const chunk of await genai.models.generateContentStream({
      model: 'gemini',
      contents: 'A cat',
    }))
      seen.push(chunk.data);
    expect(seen[0]?.length).toBe(picture.length);
    const array = await post(gateway, '/v1beta/models/gemini:streamGenerateContent', { contents: [] });
    expect(JSON.parse(array.body.toString())[0].candidates[0].content.parts[0]).toEqual(part);
  });

  test('of Gemini, for a client of OpenAI', async () => {
    upstream.use(ssePlan([{ data: geminiChunk }]));
    const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
    const stream = sdk.responses.stream({ model: 'gemini', input: 'A cat' });
    const item = (await stream.finalResponse()).output.find(each => each.type === 'image_generation_call');
    expect(item?.result?.length).toBe(picture.length);
  });

  test('of the images of OpenAI', async () => {
    const partial = { type: 'image_generation.partial_image', b64_json: picture, partial_image_index: 0 };
    const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 };
    const done = { type: 'image_generation.completed', b64_json: picture, usage };
    upstream.use(ssePlan([partial, done].map(event => ({ event: event.type, data: JSON.stringify(event) }))));
    const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
    const stream = await sdk.images.generate({ model: 'openai', prompt: 'A cat', stream: true });
    const seen: number[] = [];
    for await (const event of stream) seen.push(event.b64_json.length);
    expect(seen).toEqual([picture.length, picture.length]);
  });
});

test('four megabytes in one event of an answer that is translated for InvokeModel', async () => {
  const text = picture;
  const parts = [{ functionCall: { name: 'write', args: { text } } }];
  upstream.use(
    ssePlan([{ data: JSON.stringify({ candidates: [{ content: { parts }, finishReason: 'STOP' }] }) }]),
  );
  const answer = await post(gateway, '/model/gemini/invoke-with-response-stream', {
    anthropic_version: 'bedrock-2023-05-31',
    max_tokens: 10,
    messages: [{ role: 'user', content: 'Hi' }],
  });
  expect(answer.isComplete).toBe(true);
  expect(answer.body.length).toBeGreaterThan(text.length);
});

test('and the gateway answers as ever', async () => {
  upstream.use(
    jsonPlan({
      id: 'm',
      type: 'message',
      role: 'assistant',
      content: [],
      stop_reason: 'end_turn',
      usage: {},
    }),
  );
  const body = { model: 'claude', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] };
  expect((await post(gateway, '/v1/messages', body)).status).toBe(200);
});
