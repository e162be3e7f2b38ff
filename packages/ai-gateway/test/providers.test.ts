import { createHash, createHmac } from 'node:crypto';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion, message } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

const geminiAnswer = {
  candidates: [{ content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1 },
};
const converseAnswer = {
  output: { message: { role: 'assistant', content: [{ text: 'Hi' }] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 3, outputTokens: 1, totalTokens: 4 },
};

function answerTo(path: string): object {
  if (path.includes('generateContent')) return geminiAnswer;
  if (path.includes('/converse')) return converseAnswer;
  return path.includes('chat/completions') ? chatCompletion : message;
}

const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: request => jsonPlan(answerTo(request.path)) });
  const at = { base_url: upstream.url, allow_private: true };
  const providers = {
    azure: { ...at, type: 'azure-openai', api_key: 'azure-key', api_version: '2024-10-21' },
    vertex: { ...at, type: 'vertex', project: 'p1', location: 'europe-west4', api_key: 'google-key' },
    'vertex-claude': { ...at, type: 'vertex', project: 'p1', publisher: 'anthropic', api_key: 'google-key' },
    bedrock: {
      ...at,
      type: 'bedrock',
      region: 'eu-central-1',
      access_key: { access_key_id: 'AKIDEXAMPLE', secret_access_key: secret, session_token: 'session' },
    },
    'bedrock-bearer': {
      ...at,
      type: 'bedrock',
      region: 'eu-central-1',
      api_key: 'bedrock-key',
      api: 'invoke',
    },
    mistral: { ...at, type: 'mistral', api_key: 'mistral-key' },
    ollama: { ...at, type: 'ollama' },
    pool: { ...at, type: 'openai-compatible', api_key: ['key-a', 'key-b', 'key-c'] },
  };
  const models = Object.fromEntries(
    Object.keys(providers).map(name => [name, { targets: [{ provider: name, model: 'anthropic.m-v1:0' }] }]),
  );
  gateway = await startGateway({ section: { providers, models, attempts: { max_rounds: 1 } } });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

async function asked(model: string) {
  const answer = await post(gateway, '/v1/messages', messagesRequest({ model }));
  expect(answer.status, answer.body.toString()).toBe(200);
  const request = upstream.requests.at(-1);
  if (request === undefined) throw new Error('nothing was asked');
  return { path: request.path, headers: request.headers, body: request.json() as Record<string, unknown> };
}

describe('each provider is asked at its own address, in its own words, with its own proof', () => {
  test('Azure OpenAI: a deployment by its path, the key in `api-key`', async () => {
    const { path, headers } = await asked('azure');
    expect(path).toBe('/openai/deployments/anthropic.m-v1%3A0/chat/completions?api-version=2024-10-21');
    expect(headers).toMatchObject({ 'api-key': 'azure-key' });
  });

  test('Vertex AI: Gemini of a project and a location', async () => {
    const { path, headers } = await asked('vertex');
    expect(path).toBe(
      '/v1/projects/p1/locations/europe-west4/publishers/google/models/anthropic.m-v1%3A0:generateContent',
    );
    expect(headers).toMatchObject({ 'x-goog-api-key': 'google-key' });
  });

  test('Vertex AI: Claude by rawPredict, the version in the body and no model', async () => {
    const { path, body } = await asked('vertex-claude');
    expect(path).toBe(
      '/v1/projects/p1/locations/global/publishers/anthropic/models/anthropic.m-v1%3A0:rawPredict',
    );
    expect(body).toMatchObject({ anthropic_version: 'vertex-2023-10-16' });
    expect(body.model).toBeUndefined();
  });

  test('Bedrock by InvokeModel, with a bearer key', async () => {
    const { path, headers, body } = await asked('bedrock-bearer');
    expect(path).toBe('/model/anthropic.m-v1%3A0/invoke');
    expect(headers).toMatchObject({ authorization: 'Bearer bedrock-key' });
    expect(body).toMatchObject({ anthropic_version: 'bedrock-2023-05-31' });
  });

  test('presets: parameters under the names the vendor has, and what it refuses is told', async () => {
    const answer = await post(
      gateway,
      '/v1/messages',
      messagesRequest({ model: 'mistral', metadata: { user_id: 'u' } }),
    );
    const request = upstream.requests.at(-1);
    expect(request?.json()).toMatchObject({ max_tokens: 100 });
    expect(request?.json()).not.toHaveProperty('max_completion_tokens');
    expect(answer.headers['x-strata-changed']).toContain('user=dropped');
    expect((await asked('ollama')).headers.authorization).toBeUndefined();
  });
});

test('Bedrock: the signature is what AWS documents, recomputed by hand', async () => {
  const { path, headers } = await asked('bedrock');
  const sent = upstream.requests.at(-1);
  const authorization = String(headers.authorization);
  const match =
    /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/(\d{8})\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (!match) throw new Error(authorization);
  const [, day = '', signedHeaders = '', signature] = match;
  expect(signedHeaders.split(';')).toEqual(
    expect.arrayContaining(['host', 'x-amz-date', 'x-amz-security-token']),
  );
  const canonical = [
    'POST',
    path.split('/').map(encodeURIComponent).join('/'),
    '',
    ...signedHeaders.split(';').map(name => `${name}:${String(headers[name]).trim()}`),
    '',
    signedHeaders,
    sha256(sent?.body() ?? Buffer.alloc(0)),
  ].join('\n');
  const scope = `${day}/eu-central-1/bedrock/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  const key = [day, 'eu-central-1', 'bedrock', 'aws4_request'].reduce<Buffer | string>(
    (last, part) => createHmac('sha256', last).update(part).digest(),
    `AWS4${secret}`,
  );
  expect(signature).toBe(createHmac('sha256', key).update(toSign).digest('hex'));
});

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

test('a pool of keys is used in turn; a refused key is passed by at once and left alone for a while', async () => {
  const keys: string[] = [];
  upstream.use(request => {
    const key = String(request.headers.authorization).replace('Bearer ', '');
    keys.push(key);
    return key === 'key-b'
      ? jsonPlan({ error: { code: 'invalid_api_key' } }, { status: 401 })
      : jsonPlan(chatCompletion);
  });
  for (let index = 0; index < 6; index++) {
    const answer = await post(gateway, '/v1/chat/completions', chatRequest({ model: 'pool' }));
    expect(answer.status).toBe(200);
  }
  expect(keys.filter(key => key === 'key-b')).toHaveLength(1);
  expect(keys.filter(key => key === 'key-a').length).toBeGreaterThanOrEqual(2);
  expect(keys.filter(key => key === 'key-c').length).toBeGreaterThanOrEqual(2);
  upstream.use(request => jsonPlan(answerTo(request.path)));
});

test('Claude by InvokeModel answers Anthropic clients, whole and streamed', async () => {
  const simulator = await startSimulator({ keys: ['sk-provider'] });
  const section = {
    providers: {
      aws: {
        type: 'bedrock',
        region: 'us-east-1',
        api: 'invoke',
        api_key: 'sk-provider',
        base_url: `${simulator.url}/bedrock`,
        allow_private: true,
      },
    },
    models: {
      messages: { targets: [{ provider: 'aws', model: 'anthropic.claude-sonnet-4-5-20250929-v1:0' }] },
    },
  };
  const own = await startGateway({ section });
  const prompt = { messages: [{ role: 'user', content: '[[say: Grüße]]' }] };
  const whole = await post(own, '/v1/messages', messagesRequest(prompt));
  expect(JSON.parse(whole.body.toString())).toMatchObject({ content: [{ text: 'Grüße' }] });
  const streamed = await post(own, '/v1/messages', messagesRequest({ ...prompt, stream: true }));
  expect(streamed.body.toString()).toContain('event: message_stop');
  await own.close();
  await simulator.close();
});
