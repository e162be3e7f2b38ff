import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningGateway, sectionFor, startGateway } from './harness.ts';

let gateway: RunningGateway;
beforeAll(async () => {
  const section = sectionFor({ openai: 'http://127.0.0.1:9', anthropic: 'http://127.0.0.1:9' });
  const extra = { targets: [{ provider: 'fake-openai', model: 'm' }] };
  gateway = await startGateway({
    section: { ...section, models: { ...(section as { models: object }).models, 'team/large:1': extra } },
  });
});
afterAll(() => gateway.close());

const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${gateway.url}${path}`, {
    headers: { authorization: `Bearer ${gateway.key}`, ...headers },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const anthropic = { 'anthropic-version': '2023-06-01' };

test('the list in the shape of OpenAI', async () => {
  const { body } = await get('/v1/models');
  expect(body).toMatchObject({
    object: 'list',
    data: [
      { id: 'chat', object: 'model', owned_by: 'fake-openai', created: expect.any(Number) },
      { id: 'messages', owned_by: 'fake-anthropic' },
      { id: 'team/large:1' },
    ],
  });
});

test('the list in the shape of Anthropic for a client that speaks it', async () => {
  const { body } = await get('/v1/models', anthropic);
  expect(body).toMatchObject({
    data: [{ type: 'model', id: 'chat', display_name: 'chat', created_at: expect.any(String) }, {}, {}],
    has_more: false,
    first_id: 'chat',
    last_id: 'team/large:1',
  });
});

test('one model, also when its name holds a slash, written plainly or as %2F', async () => {
  expect((await get('/v1/models/chat')).body).toMatchObject({ id: 'chat', object: 'model' });
  expect((await get('/v1/models/team/large:1')).body).toMatchObject({ id: 'team/large:1' });
  expect((await get('/v1/models/team%2Flarge%3A1', anthropic)).body).toMatchObject({
    id: 'team/large:1',
    type: 'model',
  });
});

test('[S-2] a key sees and gets only the models of its scopes', async () => {
  const narrow = { authorization: `Bearer ${await gateway.newKey({ models: ['team/*'] })}` };
  const { body } = await get('/v1/models', narrow);
  expect((body.data as { id: string }[]).map(model => model.id)).toEqual(['team/large:1']);
  expect((await get('/v1/models/chat', narrow)).status).toBe(404);
  const nothing = { authorization: `Bearer ${await gateway.newKey({ models: [] })}` };
  expect((await get('/v1/models', nothing)).body.data).toEqual([]);
});

test('an unknown model, in the shape of either protocol', async () => {
  const openai = await get('/v1/models/chats');
  expect(openai).toMatchObject({ status: 404, body: { error: { code: 'model_not_found' } } });
  const other = await get('/v1/models/chats', anthropic);
  expect(other).toMatchObject({ status: 404, body: { type: 'error', error: { type: 'not_found_error' } } });
});

test('without a key there is no list, which is said in the words of who asks', async () => {
  const none = { authorization: '' };
  const refused = { status: 401, body: { error: { code: 'key_missing' } } };
  expect(await get('/v1/models', none)).toMatchObject(refused);
  expect(await get('/v1/models', { ...none, ...anthropic })).toMatchObject({
    status: 401,
    body: { type: 'error', error: { type: 'authentication_error' } },
  });
  for (const [path, headers] of [
    ['/v1beta/models'],
    ['/v1/models/chat', { 'x-goog-api-client': 'x' }],
  ] as const)
    expect(await get(path, { ...none, ...headers })).toMatchObject({
      status: 401,
      body: { error: { code: 401, status: 'UNAUTHENTICATED' } },
    });
});

test('what is known of a model is told to the official SDKs, and what is not is left open', async () => {
  const account = { base_url: 'http://127.0.0.1:9', api_key: 'sk-provider', allow_private: true };
  const claude = { provider: 'claude', model: 'claude-opus-4-5' };
  const own = { provider: 'own', model: 'm' };
  const capabilities = {
    context_tokens: 8192,
    max_output_tokens: 1024,
    input_modalities: ['text', 'image'],
    output_modalities: ['text'],
    features: ['tools'],
  };
  const described = await startGateway({
    section: {
      providers: {
        claude: { type: 'anthropic', ...account },
        own: { type: 'openai-compatible', ...account },
      },
      models: {
        listed: { targets: [claude, own] },
        declared: { targets: [claude], capabilities },
        unknown: { targets: [own] },
      },
    },
  });
  try {
    const sdkOptions = { apiKey: described.key, maxRetries: 0 };
    const openai = new OpenAI({ baseURL: `${described.url}/v1`, ...sdkOptions });
    const { data } = await openai.models.list();
    const [listed, declared, unknown] = data;
    expect(listed).toMatchObject({ context_length: 200_000, max_output_tokens: 64_000 });
    expect(listed).not.toHaveProperty('input_modalities');
    const { features, input_modalities, output_modalities } = capabilities;
    const told = { input_modalities, output_modalities, supported_parameters: features };
    expect(declared).toMatchObject({ context_length: 8192, max_output_tokens: 1024, ...told });
    expect(Object.keys(unknown ?? {})).toEqual(['id', 'object', 'created', 'owned_by']);
    const anthropicSdk = new Anthropic({ baseURL: described.url, ...sdkOptions });
    const seen = [];
    for await (const model of anthropicSdk.models.list()) seen.push(model);
    expect(seen).toMatchObject([
      { id: 'listed', max_input_tokens: 200_000, max_tokens: 64_000, capabilities: null },
      { id: 'declared', max_input_tokens: 8192, max_tokens: 1024, ...told },
      { id: 'unknown', max_input_tokens: null, max_tokens: null },
    ]);
    expect(await anthropicSdk.models.retrieve('declared')).toMatchObject({ max_input_tokens: 8192 });
  } finally {
    await described.close();
  }
});

describe('pages', () => {
  const google = () => new GoogleGenAI({ apiKey: gateway.key, httpOptions: { baseUrl: gateway.url } });
  const all = ['chat', 'messages', 'team/large:1'];

  test("the list and one model in Google's shape, page by page, by its SDK", async () => {
    const seen = [];
    for await (const model of await google().models.list({ config: { pageSize: 2 } })) seen.push(model);
    expect(seen.map(({ name }) => name)).toEqual(all.map(alias => `models/${alias}`));
    expect(seen[0]).toMatchObject({
      displayName: 'chat',
      supportedActions: expect.arrayContaining(['generateContent']),
    });
    expect(await google().models.get({ model: 'team/large:1' })).toMatchObject({
      name: 'models/team/large:1',
    });
    await expect(google().models.get({ model: 'chats' })).rejects.toMatchObject({ status: 404 });
  });

  test("the list and one model in Vertex AI's shape, by the same SDK", async () => {
    const vertex = new GoogleGenAI({
      apiKey: gateway.key,
      vertexai: true,
      httpOptions: { baseUrl: gateway.url },
    });
    const names: (string | undefined)[] = [];
    for await (const model of await vertex.models.list({ config: { pageSize: 2 } })) names.push(model.name);
    expect(names).toContain('publishers/google/models/chat');
    expect(new Set(names).size).toBe(names.length);
    expect(await vertex.models.get({ model: 'chat' })).toMatchObject({
      name: 'publishers/google/models/chat',
    });
    await expect(vertex.models.get({ model: 'nobody' })).rejects.toMatchObject({
      name: 'ApiError',
      status: 404,
    });
    const inEscapes = await get('/v1/publishers/%67oogle/models/chat', {});
    expect(inEscapes.body).toMatchObject({ name: 'publishers/google/models/chat' });
  });

  test('the key may stand in the query, and v1 answers a client of Google in its shape', async () => {
    const list = await fetch(`${gateway.url}/v1beta/models?key=${gateway.key}`);
    expect(await list.json()).toMatchObject({ models: [{ name: 'models/chat' }, {}, {}] });
    expect((await get('/v1/models', { 'x-goog-api-client': 'x' })).body).toMatchObject({
      models: [{}, {}, {}],
    });
  });

  test("Anthropic's, forwards and backwards, by its SDK", async () => {
    const sdk = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });
    const seen = [];
    for await (const { id } of sdk.models.list({ limit: 1 })) seen.push(id);
    expect(seen).toEqual(all);
    const last = await sdk.models.list({ limit: 1, before_id: 'team/large:1' });
    expect(last).toMatchObject({ data: [{ id: 'messages' }], has_more: true });
    const first = await last.getNextPage();
    expect(first).toMatchObject({ data: [{ id: 'chat' }], has_more: false });
    expect(await sdk.models.list({ after_id: 'messages' })).toMatchObject({ data: [{ id: 'team/large:1' }] });
  });

  test.each([
    ['/v1/models?limit=0', anthropic],
    ['/v1/models?limit=x', anthropic],
    ['/v1/models?limit=1&limit=2', anthropic],
    ['/v1/models?after_id=nothing', anthropic],
    ['/v1beta/models?pageToken=nothing', {}],
    ['/v1beta/models?pageSize=-1', {}],
  ])('%s is refused in the words of who asks', async (path, headers) => {
    const { status, body } = await get(path, headers);
    expect(status).toBe(400);
    const error = body.error as Record<string, unknown>;
    if (path.startsWith('/v1beta')) expect(error).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT' });
    else expect(body).toMatchObject({ type: 'error', error: { type: 'invalid_request_error' } });
  });
});

describe('what there is not', () => {
  const isOpenai = ({ error }: Record<string, unknown>) =>
    'type' in (error as object) && 'message' in (error as object);
  const isAnthropic = ({ type, error }: Record<string, unknown>) =>
    type === 'error' && 'type' in (error as object);
  const isGoogle = ({ error }: Record<string, unknown>) =>
    typeof (error as { code?: unknown }).code === 'number';
  /** Of AWS and of Cohere. */
  const isMessageAlone = ({ message }: Record<string, unknown>) => typeof message === 'string';

  test.each([
    ['GET', '/v1/nothing', {}, isOpenai],
    ['POST', '/v1/chat/completions/', {}, isOpenai],
    ['PUT', '/v1/chat/completions', {}, isOpenai],
    ['DELETE', '/v1/models/chat', {}, isOpenai],
    ['POST', '/v1/fine_tuning/jobs', {}, isOpenai],
    ['POST', '/v2/generate', {}, isMessageAlone],
    ['GET', '/v1/messages', {}, isAnthropic],
    ['POST', '/v1/messages/nothing', {}, isAnthropic],
    ['POST', '/v1/complete', anthropic, isAnthropic],
    ['GET', '/v1beta', {}, isGoogle],
    ['GET', '/v1beta/cachedContents', {}, isGoogle],
    ['POST', '/v1beta/models/chat:predictLongRunning', {}, isGoogle],
    ['DELETE', '/v1beta/models/chat', {}, isGoogle],
    ['GET', '/v1/tunedModels', { 'x-goog-api-key': 'x' }, isGoogle],
    ['POST', '/model/chat/async-invoke', {}, isMessageAlone],
    ['GET', '/model/chat/converse', {}, isMessageAlone],
    ['POST', '/guardrail/g/version/1/apply', {}, isMessageAlone],
    ['POST', '/async-invoke', {}, isMessageAlone],
    ['GET', '/model', {}, isMessageAlone],
  ] as const)('%s %s is said in the words of who asks', async (method, path, headers, isTheirs) => {
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json', ...headers },
      ...(method === 'POST' && { body: '{}' }),
    });
    expect([404, 405]).toContain(response.status);
    if (response.status === 405) expect(response.headers.get('allow')).toBeTruthy();
    expect(isTheirs((await response.json()) as Record<string, unknown>)).toBe(true);
  });
});
