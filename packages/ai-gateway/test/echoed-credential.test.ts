import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { FakeRealtime } from './support/fake-realtime.ts';

/** A provider that tells in its refusals which key it was shown. */

const secret = 'sk-canary-0123456789-of-the-provider';
const message = `Sorry, ${secret} may not do this`;
const error = { type: 'invalid_request_error', message, code: 'odd' };
const refusal = jsonPlan({ type: 'error', error }, { status: 400 });
const realtime = new FakeRealtime();
let upstream: FakeUpstream;
let plan: Plan;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: () => plan });
  const account = { api_key: secret, allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        chat: { type: 'openai', base_url: `${upstream.url}/v1`, ...account },
        claude: { type: 'anthropic', base_url: upstream.url, ...account },
        voice: { type: 'openai-compatible', base_url: await realtime.start(), ...account },
        aws: {
          type: 'bedrock',
          base_url: upstream.url,
          region: 'eu-central-1',
          access_key: {
            access_key_id: 'AKIDEXAMPLE',
            secret_access_key: 'x'.repeat(40),
            session_token: secret,
          },
          allow_private: true,
        },
      },
      files_provider: 'chat',
      models: {
        chat: { targets: [{ provider: 'chat', model: 'm' }] },
        claude: { targets: [{ provider: 'claude', model: 'm' }] },
        voice: { targets: [{ provider: 'voice', model: 'm' }] },
        aws: { targets: [{ provider: 'aws', model: 'm' }] },
      },
    },
  });
});
beforeEach(() => {
  plan = refusal;
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
  realtime.close();
});

test.each([
  ['/v1/chat/completions', chatRequest({ model: 'chat' })],
  ['/v1/chat/completions', chatRequest({ model: 'claude' })],
  ['/v1/messages', messagesRequest({ model: 'claude' })],
  ['/v1/messages', messagesRequest({ model: 'chat' })],
  ['/v1/messages/count_tokens', messagesRequest({ model: 'claude' })],
  ['/v1/embeddings', { model: 'chat', input: 'x' }],
  ['/providers/chat/odd', { model: 'chat' }],
])('[S20] %s: the refusal is passed on without the key that it repeats', async (path, body) => {
  const answer = await post(gateway, path, body);
  expect(answer.status).toBe(400);
  expect(answer.body.toString()).toContain('Sorry, *** may not do this');
  expect(answer.body.toString() + JSON.stringify(answer.headers)).not.toContain(secret);
});

describe('[S20] what lies at a provider', () => {
  const files = [
    ['OpenAI', '/v1/files', 'purpose', {}],
    [
      'Anthropic',
      '/v1/files',
      'none',
      { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'files-api-2025-04-14' },
    ],
  ] as const;
  test.each(files)('a file of %s', async (_name, path, field, headers) => {
    const form = new FormData();
    if (field === 'purpose') form.set(field, 'user_data');
    form.set('file', new File(['x'], 'a.txt'));
    const answer = await fetch(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.key}`, ...headers },
      body: form,
    });
    const said = await answer.text();
    expect([answer.status, said]).toEqual([400, expect.stringContaining('Sorry, *** may not do this')]);
    expect(said).not.toContain(secret);
  });

  test('a batch', async () => {
    const requests = [{ custom_id: 'one', params: messagesRequest({ model: 'claude' }) }];
    const answer = await post(gateway, '/v1/messages/batches', { requests });
    expect(answer.status).toBe(400);
    expect(answer.body.toString()).toContain('Sorry, *** may not do this');
    expect(answer.body.toString()).not.toContain(secret);
  });
});

test('[S20] a session that is refused, and one whose error event repeats the key', async () => {
  const dial = () =>
    new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime?model=voice`, {
      headers: { authorization: `Bearer ${gateway.key}` },
    });
  realtime.refusal = 400;
  realtime.refusalBody = JSON.stringify({ error });
  const refused = dial();
  const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
  const said = Buffer.concat(await response.toArray()).toString();
  expect(said).toContain('Sorry, *** may not do this');
  expect(said).not.toContain(secret);

  realtime.refusal = undefined;
  realtime.onSession = socket => socket.send(JSON.stringify({ type: 'error', error }));
  const session = dial();
  const heard: string[] = [];
  await new Promise<void>(resolve => {
    session.on('message', data => {
      heard.push(String(data));
      if (heard.length === 2) resolve();
    });
  });
  session.terminate();
  expect(heard[1]).toContain('Sorry, *** may not do this');
  expect(heard.join()).not.toContain(secret);
});

test.each([
  ['/v1/chat/completions', chatRequest({ model: 'chat', stream: true }), 200],
  ['/v1/images/generations', { model: 'chat', prompt: 'x', stream: true }, 200],
  ['/providers/chat/odd', { model: 'chat', stream: true }, 200],
])('[S20] %s: an error inside a stream', async (path, body, status) => {
  const chunk = {
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content: 'Hi' } }],
  };
  plan = ssePlan([JSON.stringify(chunk), JSON.stringify({ error })]);
  const answer = await post(gateway, path, body);
  expect(answer.status).toBe(status);
  expect(answer.body.toString()).toContain('Sorry, *** may not do this');
  expect(answer.body.toString()).not.toContain(secret);
});

test.each([JSON.stringify({ error }), `x\nevent: error\ndata: ${JSON.stringify({ message })}`])(
  '[S20] an error among the events of what is only passed through: %s',
  async event => {
    plan = ssePlan([event, '{"n":2}']);
    const answer = await post(gateway, '/providers/chat/odd', { stream: true });
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toContain('Sorry, *** may not do this');
    expect(answer.body.toString()).toContain('{"n":2}');
    expect(answer.body.toString()).not.toContain(secret);
  },
);

test('[S20] what a signature covers is no secret, the session token is', async () => {
  const text = `'application/json' is no content-type for ${secret}`;
  plan = jsonPlan({ message: text }, { status: 400, headers: { 'x-amzn-errortype': 'ValidationException' } });
  const answer = await post(gateway, '/model/aws/converse', {
    messages: [{ role: 'user', content: [{ text: 'Hi' }] }],
  });
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json',
    'x-amzn-errortype': 'ValidationException',
  });
  expect(JSON.parse(answer.body.toString()).message).toBe("'application/json' is no content-type for ***");
});

test('[S20] a good answer of what is only passed through', async () => {
  plan = jsonPlan({ headers: { authorization: `Bearer ${secret}` } });
  const answer = await fetch(`${gateway.url}/providers/chat/headers`, {
    headers: { authorization: `Bearer ${gateway.key}` },
  });
  expect(await answer.json()).toEqual({ headers: { authorization: 'Bearer ***' } });
});

test('[S20] what is no text stays what it is in an answer that is read, also where the key is a number', async () => {
  const account = {
    type: 'openai',
    base_url: `${upstream.url}/v1`,
    api_key: '1234567890123456',
    allow_private: true,
  };
  const numbered = await startGateway({
    section: {
      providers: { chat: account },
      files_provider: 'chat',
      models: { chat: { targets: [{ provider: 'chat', model: 'm' }] } },
    },
  });
  plan = jsonPlan({
    id: 'file-1',
    object: 'file',
    bytes: 1234567890123456,
    filename: '1234567890123456',
    purpose: 'user_data',
  });
  const form = new FormData();
  form.set('purpose', 'user_data');
  form.set('file', new File(['x'], 'a.txt'));
  const answer = await fetch(`${numbered.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${numbered.key}` },
    body: form,
  });
  const file = await answer.json();
  await numbered.close();
  expect([answer.status, file]).toEqual([
    200,
    expect.objectContaining({ bytes: 1234567890123456, filename: '***' }),
  ]);
});

test('[S20] [AI-2] a good answer of what is only passed through is not altered by the key of a server without keys, nor is its JSON by a number', async () => {
  const account = { type: 'openai-compatible', base_url: `${upstream.url}/v1`, allow_private: true };
  const number = '1234567890123456';
  const section = {
    providers: { local: { ...account, api_key: 'ollama' }, numbered: { ...account, api_key: number } },
    models: { local: { targets: [{ provider: 'local', model: 'm' }] } },
  };
  const other = await startGateway({ section });
  const event = '{"type":"response.completed","response":{"error":null,"output":[{"text":"ollama run"}]}}';
  plan = ssePlan([event]);
  const streamed = await post(other, '/providers/local/responses', { stream: true });
  plan = jsonPlan({ error: { code: Number(number), message: number } });
  const whole = await post(other, '/providers/numbered/odd', {});
  plan = jsonPlan(number, { headers: { 'content-type': 'text/plain', 'content-length': '18' } });
  const text = await post(other, '/providers/numbered/odd', {});
  await other.close();
  expect(streamed.body.toString()).toBe(`data: ${event}\n\n`);
  expect(JSON.parse(whole.body.toString())).toEqual({ error: { code: Number(number), message: '***' } });
  expect(text.body.toString()).toBe('"***"');
});
