import { connect } from 'node:net';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { AzureOpenAI, OpenAI, toFile } from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';
import { FakeRealtime } from './support/fake-realtime.ts';

/** Clients of Azure OpenAI: deployments in the path, in the older API and the v1 API. */

const realtime = new FakeRealtime();
let simulator: Simulator;
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true, type: 'openai-compatible' };
  gateway = await startGateway({
    section: {
      providers: {
        openai: { ...own, type: 'openai', base_url: `${simulator.url}/openai/v1` },
        anthropic: { ...own, type: 'anthropic', base_url: `${simulator.url}/anthropic` },
        fake: { ...own, base_url: `${upstream.url}/v1` },
        voice: { ...own, base_url: await realtime.start() },
      },
      models: {
        'my-model': { targets: [{ provider: 'openai', model: 'gpt-5-mini' }] },
        claude: { targets: [{ provider: 'anthropic', model: 'claude-sonnet-5' }] },
        embedding: { targets: [{ provider: 'openai', model: 'text-embedding-3-small' }] },
        'team/scribe': { targets: [{ provider: 'fake', model: 'whisper-1' }] },
        voice: { targets: [{ provider: 'voice', model: 'gpt-realtime' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
  await simulator.close();
  await realtime.close();
});

const azure = (more: object = {}) =>
  new AzureOpenAI({
    endpoint: gateway.url,
    apiKey: gateway.key,
    apiVersion: '2026-06-01',
    maxRetries: 0,
    ...more,
  });
const messages = [{ role: 'user' as const, content: 'Good morning' }];
const said = 'You said: Good morning';

describe('AzureOpenAI', () => {
  test.each(['my-model', 'claude'])('chat, whole and streamed, of %s', async model => {
    const whole = await azure().chat.completions.create({ model, messages });
    expect(whole.choices[0]?.message.content).toBe(said);
    expect(whole._request_id).toMatch(/^req_/);
    const stream = azure().chat.completions.stream({ model, messages });
    expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe(said);
  });

  test('the deployment of the client counts, whatever the body says', async () => {
    const client = azure({ deployment: 'claude' });
    const answer = await client.chat.completions.create({ model: 'gpt-whatever', messages }).withResponse();
    expect(answer.response.headers.get('x-strata-provider')).toBe('anthropic');
    const bare = await post(
      gateway,
      '/openai/deployments/claude/chat/completions?api-version=2026-06-01',
      { messages },
      { 'api-key': gateway.key },
    );
    expect(bare.headers['x-strata-provider']).toBe('anthropic');
  });

  test('responses, embeddings and models', async () => {
    const response = await azure().responses.create({ model: 'claude', input: 'Good morning' });
    expect(response.output_text).toBe(said);
    expect((await azure().responses.retrieve(response.id)).output_text).toBe(said);
    const { data } = await azure().embeddings.create({ model: 'embedding', input: ['one', 'two'] });
    expect(data).toHaveLength(2);
    const models = await azure().models.list();
    expect(models.data.map(({ id }) => id)).toContain('my-model');
  });

  test.each([
    ['with the model in the form too', 'team/scribe'],
    ['with the model in the path alone', undefined],
  ])('a form, %s', async (_name, model) => {
    upstream.use(jsonPlan({ text: 'hello', duration: 2 }));
    const file = await toFile(Buffer.from('\r\n--x sound'), 'a.wav', { type: 'audio/wav' });
    const form = new FormData();
    form.append('file', file);
    if (model !== undefined) form.append('model', model);
    form.append('language', 'en');
    const answer = await fetch(
      `${gateway.url}/openai/deployments/team%2Fscribe/audio/transcriptions?api-version=2026-06-01`,
      { method: 'POST', headers: { 'api-key': gateway.key }, body: form },
    );
    expect(await answer.json()).toMatchObject({ text: 'hello' });
    const request = upstream.requests.at(-1);
    const sent = await new Response(new Uint8Array(request?.body() ?? []), {
      headers: { 'content-type': String(request?.headers['content-type']) },
    }).formData();
    expect(sent.getAll('model')).toEqual(['whisper-1']);
    expect(sent.get('language')).toBe('en');
    expect(await (sent.get('file') as File).text()).toBe('\r\n--x sound'); // a file was sent
  });

  const formTo = (parts: string) =>
    fetch(`${gateway.url}/openai/deployments/team%2Fscribe/audio/transcriptions?api-version=2026-06-01`, {
      method: 'POST',
      headers: { 'api-key': gateway.key, 'content-type': 'multipart/form-data; boundary=B' },
      body: parts,
    });
  const field = (name: string, text: string) =>
    `Content-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;

  test('[S-1] what stands in front of a form names no model', async () => {
    upstream.use(jsonPlan({ text: 'hello', duration: 2 }));
    const clean = await formTo(`a preamble\r\n--B\r\n${field('language', 'en')}--B--\r\n`);
    expect(clean.status).toBe(200);
    const sent = upstream.requests.at(-1)?.body().toString();
    expect(sent).toBe(
      `a preamble\r\n--B\r\n${field('model', 'whisper-1')}--B\r\n${field('language', 'en')}--B--\r\n`,
    );
    const before = upstream.requests.length;
    for (const lead of ['x', '\n', '\r', '']) {
      const smuggled = `${lead}--B\r\n${field('model', 'other')}--B\r\n${field('language', 'en')}--B--\r\n`;
      const answer = await formTo(smuggled);
      if (lead === '') expect(upstream.requests.at(-1)?.body().toString()).not.toContain('other');
      else expect(await answer.json()).toMatchObject({ error: { code: 'form_invalid' } });
    }
    expect(upstream.requests.length).toBe(before + 1);
  });

  test('what there is not is said as OpenAI says it', async () => {
    const unknown = azure().chat.completions.create({ model: 'nobody', messages });
    await expect(unknown).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    await expect(azure().fineTuning.jobs.list()).rejects.toMatchObject({
      status: 404,
      code: 'unknown_route',
    });
    const wrong = azure({ apiKey: 'sk-strata-wrong' }).chat.completions.create({
      model: 'my-model',
      messages,
    });
    await expect(wrong).rejects.toMatchObject({ status: 401 });
    expect((await post(gateway, '/openai/deployments/claude/chat/completions', 'no JSON')).status).toBe(400);
  });
});

test('the v1 API of Azure, by the ordinary client', async () => {
  const client = new OpenAI({ baseURL: `${gateway.url}/openai/v1/`, apiKey: gateway.key, maxRetries: 0 });
  const answer = await client.chat.completions.create({ model: 'my-model', messages });
  expect(answer.choices[0]?.message.content).toBe(said);
  const streamed = client.responses.stream({ model: 'claude', input: 'Good morning' });
  expect((await streamed.finalResponse()).output_text).toBe(said);
});

test('realtime sessions of a deployment', async () => {
  const { hostname, port, host } = new URL(gateway.url);
  const options = { createConnection: () => connect(Number(port), hostname), headers: { host } };
  const socket = await OpenAIRealtimeWS.azure(azure({ deployment: 'voice' }), {
    options,
  } as Parameters<typeof OpenAIRealtimeWS.azure>[1]); // `ws` has this option, its types leave it out
  await new Promise<void>(resolve => socket.once('session.created', () => resolve()));
  expect(realtime.last.request.url).toBe('/v1/realtime?model=gpt-realtime');
  socket.close();
});
