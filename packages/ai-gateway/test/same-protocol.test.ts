import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';

let simulator: Simulator;
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        main: { ...own, type: 'openai-compatible', base_url: `${simulator.url}/openai/v1` },
        cohere: { ...own, type: 'cohere', base_url: `${simulator.url}/cohere` },
        fake: { ...own, type: 'openai-compatible', base_url: `${upstream.url}/v1` },
      },
      models: {
        embed: {
          targets: [
            { provider: 'main', model: 'text-embedding-3-small', prices: { input: '1', output: '0' } },
          ],
        },
        rank: { targets: [{ provider: 'cohere', model: 'rerank-v4.0-pro' }] },
        'omni-moderation-latest': { targets: [{ provider: 'fake', model: 'omni-2026' }] },
        speak: { targets: [{ provider: 'fake', model: 'tts' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
  await simulator.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

test('embeddings by the official SDK, metered and priced', async () => {
  const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  const answer = await sdk.embeddings.create({ model: 'embed', input: ['one', 'two'] });
  expect(answer.data).toHaveLength(2);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ operation: 'embeddings', usageSource: 'reported' });
  expect(record?.costNanoUsd).toBe(BigInt(answer.usage.prompt_tokens) * 1000n);
});

test('who names no model for moderation asks for the one that OpenAI would take', async () => {
  upstream.use(jsonPlan({ id: 'modr-1', model: 'omni', results: [{ flagged: false }] }));
  const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  const answer = await sdk.moderations.create({ input: 'Hello' });
  expect(answer.results).toEqual([{ flagged: false }]);
  expect(JSON.parse(upstream.requests.at(-1)?.body().toString() ?? '')).toEqual({
    model: 'omni-2026',
    input: 'Hello',
  });
  const pictures = sdk.images.generate({ prompt: 'A cat' });
  await expect(pictures).rejects.toMatchObject({ status: 404, message: /dall-e-2/ });
});

test('rerank', async () => {
  const answer = await post(gateway, '/v2/rerank', {
    model: 'rank',
    query: 'red car',
    documents: ['a blue house', 'a red car'],
  });
  expect(JSON.parse(answer.body.toString())).toMatchObject({ results: [{ index: 1 }, { index: 0 }] });
});

test('speech: bytes that are no JSON pass unchanged, under their own type', async () => {
  const sound = Buffer.from([0xff, 0xfb, 0x90, 0x00, 0x0a]);
  upstream.use([
    { op: 'headers', headers: { 'content-type': 'audio/mpeg' } },
    { op: 'write', bytes: sound },
  ]);
  const answer = await post(gateway, '/v1/audio/speech', { model: 'speak', input: 'Hello', voice: 'alloy' });
  expect(answer.headers['content-type']).toBe('audio/mpeg');
  expect(answer.body).toEqual(sound);
});

test("the provider's own API: any path below its address, with its credential, metered", async () => {
  upstream.use(jsonPlan({ id: 'file-1', usage: { prompt_tokens: 3, completion_tokens: 1 } }));
  const form = '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n';
  const answer = await post(gateway, '/providers/fake/files?limit=2', form, {
    'content-type': 'multipart/form-data; boundary=x',
  });
  expect(answer.status, answer.body.toString()).toBe(200);
  const request = upstream.requests.at(-1);
  expect(request?.path).toBe('/v1/files?limit=2');
  expect(request?.headers).toMatchObject({
    authorization: 'Bearer sk-provider',
    'content-type': 'multipart/form-data; boundary=x',
  });
  expect(request?.body().toString()).toBe(form);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({
    operation: 'passthrough',
    alias: 'providers/fake',
    usageSource: 'reported',
  });
});

test.each([
  ['multipart/form-data', '--x\r\nbroken'],
  ['multipart/form-data; boundary=x', ''],
  ['application/octet-stream', '\0\r\n--x'],
  ['application/x-ndjson', '{"a":1}\n{'],
])("the provider's own API: %s %j passes byte for byte, whatever it is", async (type, body) => {
  upstream.use(jsonPlan({ id: 'upload-1' }));
  const answer = await post(gateway, '/providers/fake/uploads', body, { 'content-type': type });
  expect(answer.status, answer.body.toString()).toBe(200);
  const request = upstream.requests.at(-1);
  expect([request?.headers['content-type'], request?.body().toString()]).toEqual([type, body]);
  expect(request?.headers['content-length']).toBe(String(Buffer.byteLength(body)));
});

test('[S-2] a key without the scope of a provider does not learn that it exists', async () => {
  const key = await gateway.newKey({ models: ['embed'] });
  const headers = { authorization: `Bearer ${key}` };
  const [one, other] = await Promise.all([
    post(gateway, '/providers/fake/files', {}, headers),
    post(gateway, '/providers/none/files', {}, headers),
  ]);
  expect([one.status, other.status]).toEqual([404, 404]);
});

test.each(['/providers/fake/../admin', '/providers/fake/%2e%2e/admin', '/providers/fake/..%2fadmin'])(
  '%s does not leave the base path',
  async path => {
    const before = upstream.requests.length;
    const answer = await post(gateway, path, {});
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(upstream.requests.length).toBe(before);
  },
);
