import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  chatRequest,
  messagesRequest,
  post,
  type RawAnswer,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';
import { chatCompletion, message } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({
    plan: request => jsonPlan(request.path === '/v1/messages' ? message : chatCompletion),
    keepBytes: 64 * 1024 * 1024,
  });
  gateway = await startGateway({ section: sectionFor({ openai: upstream.url, anthropic: upstream.url }) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const chatPath = '/v1/chat/completions';
const read = (answer: RawAnswer) => JSON.parse(answer.body.toString());
const deep = (depth: number) => `{"model":"chat","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const many = `{"model":"chat","messages":[${'1,'.repeat(600_000)}1]}`;

test.each<[string, string | object, number, string]>([
  ['text that is no JSON', '{"model": "chat", oops}', 400, 'json_syntax'],
  ['an empty body', '', 400, 'json_syntax'],
  ['an array', '[1]', 400, 'json_syntax'],
  ['JSON that is cut', '{"model":"chat","messages":[', 400, 'json_syntax'],
  ['JSON nested too deep', deep(10_000), 400, 'json_too_deep'],
  ['JSON of too many values', many, 400, 'json_too_many_nodes'],
  ['no model', { messages: [] }, 400, 'model_missing'],
  ['a model that is no text', { model: 7 }, 400, 'model_missing'],
  ['an unknown model', { model: 'chta' }, 404, 'model_not_found'],
  ['an upstream of its own', chatRequest({ base_url: 'http://169.254.169.254/' }), 400, 'upstream_override'],
])('[8] %s: a clear error in the shape of the protocol', async (_name, body, status, reason) => {
  const before = upstream.requests.length;
  const chat = await post(gateway, chatPath, body);
  expect(chat.status).toBe(status);
  expect(read(chat).error).toMatchObject({
    code: reason,
    message: expect.any(String),
    type: expect.any(String),
  });
  expect(chat.headers['x-should-retry']).toBe('false');
  const messages = await post(gateway, '/v1/messages', body);
  expect(messages.status).toBe(status);
  expect(read(messages)).toMatchObject({
    type: 'error',
    error: { reason },
    request_id: messages.headers['x-request-id'],
  });
  expect(upstream.requests).toHaveLength(before);
});

test('an unknown model is answered with the nearest names', async () => {
  const answer = await post(gateway, chatPath, { model: 'chta' });
  expect(read(answer).error.message).toContain("Did you mean 'chat'?");
});

test('bytes that are no UTF-8 are refused', async () => {
  const body = Buffer.concat([
    Buffer.from('{"model":"chat","x":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}'),
  ]);
  expect(read(await post(gateway, chatPath, body)).error.code).toBe('json_syntax');
});

test('a bad key, no key and a model that the key may not use', async () => {
  const bad = await post(gateway, chatPath, chatRequest(), { authorization: 'Bearer sk-strata-wrong' });
  expect(bad.status).toBe(401);
  expect(read(bad).error).toMatchObject({ type: 'authentication_error', code: 'key_invalid' });
  const none = await post(gateway, '/v1/messages', messagesRequest(), { authorization: '' });
  expect(none.status).toBe(401);
  expect(read(none)).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  const narrow = await gateway.newKey({ models: ['other-*'] });
  const refused = await post(gateway, chatPath, chatRequest(), { authorization: `Bearer ${narrow}` });
  expect(refused.status).toBe(404);
  expect(read(refused).error.code).toBe('model_not_found');
  expect(refused.body.toString()).not.toContain("'chat' or");
});

test('30 MB are refused; 20 MB are refused when they are no JSON and passed on unchanged when they are', async () => {
  const text = 'a'.repeat(20_000_000);
  const broken = await post(gateway, chatPath, `{"model":"chat","messages":["${text}]}`);
  expect(broken.status).toBe(400);
  expect(read(broken).error.code).toBe('json_syntax');
  const whole = `{"model":"chat","messages":["${text}"]}`;
  const started = performance.now();
  const answer = await post(gateway, chatPath, whole);
  expect(answer.status).toBe(200);
  expect(performance.now() - started).toBeLessThan(3000);
  expect(upstream.requests.at(-1)?.bodyBytes).toBe(whole.length + 'gpt-upstream'.length - 'chat'.length);
  const large = await post(gateway, chatPath, `{"model":"chat","messages":["${'a'.repeat(30_000_000)}"]}`);
  expect(large.status).toBe(413);
  expect(read(large).error.code).toBe('body_too_large');
});

test.each([
  'base_url',
  'baseUrl',
  'BASE_URL',
  'base-url',
  'api_base',
  'apiBase',
  'custom_host',
  'customHost',
  'proxy',
])(
  '[A1] %s is refused wherever it could mean something, and left alone in what the caller writes',
  async name => {
    const before = upstream.requests.length;
    const url = 'http://169.254.169.254/';
    for (const more of [
      { [name]: url },
      { metadata: { [name]: url } },
      { extra_body: { a: [{ b: { [name]: url } }] } },
      { stream_options: { [name]: url } },
    ]) {
      const answer = await post(gateway, chatPath, chatRequest(more));
      expect(read(answer).error.code).toBe('upstream_override');
    }
    expect(upstream.requests).toHaveLength(before);
    const fair = chatRequest({
      messages: [{ role: 'user', content: name, [name]: url }],
      tools: [{ type: 'function', function: { name: 'f', parameters: { properties: { [name]: {} } } } }],
    });
    expect((await post(gateway, chatPath, fair)).status).toBe(200);
  },
);

test('[A1] headers that would choose an upstream are refused', async () => {
  const answer = await post(gateway, chatPath, chatRequest(), { 'x-portkey-custom-host': 'http://evil' });
  expect(read(answer).error.code).toBe('upstream_override');
});

test('a compressed body and a foreign media type are refused', async () => {
  const zipped = await post(gateway, chatPath, chatRequest(), { 'content-encoding': 'gzip' });
  expect(zipped.status).toBe(415);
  const form = await post(gateway, chatPath, 'a=b', { 'content-type': 'text/plain' });
  expect(form.status).toBe(415);
  expect(read(form).error.type).toBe('invalid_request_error');
});

test('property: no body whatever brings the gateway down or gets a 500', async () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
    fc.json().map(text => Buffer.from(text)),
    fc
      .dictionary(
        fc.constantFrom('model', 'messages', 'stream', 'stream_options', 'tools', 'x'),
        fc.jsonValue(),
      )
      .map(value => Buffer.from(JSON.stringify({ model: 'chat', ...value }))),
  );
  await fc.assert(
    fc.asyncProperty(body, async bytes => {
      const answer = await post(gateway, chatPath, bytes);
      expect(answer.status).toBeLessThan(500);
      const type = String(answer.headers['content-type']);
      // Some of them are good requests, and ask for a stream.
      if (answer.status === 200 && type.startsWith('text/event-stream')) return;
      expect(() => read(answer)).not.toThrow();
    }),
    { numRuns: 300 },
  );
  expect((await post(gateway, chatPath, chatRequest())).status).toBe(200);
});
