import { rawPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  chatRequest,
  messagesRequest,
  post,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';

/** Answers that are not quite what was asked for, as servers and what stands in front of them give them. */

const upstream = await startFakeUpstream({ plan: [] });
let gateway: RunningGateway;
beforeAll(async () => {
  const section = sectionFor(
    { openai: upstream.url, anthropic: upstream.url },
    { attempts: { max_attempts: 1 }, breaker: { failures: 1000 } },
  );
  gateway = await startGateway({ section });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const completion = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-upstream',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Grüße' }, finish_reason: 'stop' }],
  usage,
});
const message = JSON.stringify({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-upstream',
  content: [{ type: 'text', text: 'Grüße' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
});
const stream = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'Grüße' }, finish_reason: 'stop' }] })}\n\ndata: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`;

function answer(body: string, { status = '200 OK', type = 'application/json', more = '' } = {}) {
  return rawPlan(
    `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`,
  );
}

test.each([
  ['with a byte order mark', answer(`\ufeff${completion}`)],
  ['whose encoding is named in capitals', answer(completion, { more: 'Content-Encoding: Identity\r\n' })],
  ['whose encoding has no name', answer(completion, { more: 'content-encoding:\r\n' })],
])('a whole answer %s is one', async (_what, plan) => {
  upstream.use(plan);
  const { status, body } = await post(gateway, '/v1/chat/completions', chatRequest());
  expect([status, body.toString().includes('Grüße')]).toEqual([200, true]);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ outcome: 'answered', usage: { input: 3, output: 2 } });
});

test('the type of a stream is the same in capitals', async () => {
  upstream.use(answer(stream, { type: 'Text/Event-Stream; Charset=UTF-8' }));
  const { status, body } = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  expect([status, body.toString().endsWith('data: [DONE]\n\n')]).toEqual([200, true]);
});

test.each([
  ['chat', '/v1/chat/completions', chatRequest({ stream: true }), completion, 'data: [DONE]\n\n'],
  ['messages', '/v1/messages', messagesRequest({ stream: true }), message, '"type":"message_stop"}\n\n'],
])(
  '%s: a whole answer to who asked for a stream is told as one',
  async (_what, path, request, whole, end) => {
    upstream.use(answer(whole));
    const { status, headers, body } = await post(gateway, path, request);
    expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/event-stream/)]);
    expect(body.toString()).toContain('Grüße');
    expect(body.toString().endsWith(end)).toBe(true);
    const records = await gateway.recorded(1);
    expect(records).toMatchObject([{ outcome: 'answered', usage: { input: 3, output: 2 } }]);
  },
);

test('[AI-6] what was left out of the request is named there too', async () => {
  const own = { api_key: 'sk-provider', allow_private: true };
  const together = await startGateway({
    section: {
      providers: { together: { ...own, type: 'together', base_url: `${upstream.url}/v1` } },
      models: { chat: { targets: [{ provider: 'together', model: 'm' }] } },
    },
  });
  upstream.use(answer(completion));
  for (const ask of [{ stream: true }, {}]) {
    const more = { ...ask, metadata: { a: 'b' } };
    const { status, headers } = await post(together, '/v1/chat/completions', chatRequest(more));
    expect([status, headers['x-strata-changed']]).toEqual([200, 'metadata=dropped']);
  }
  await together.close();
});

test('a stream for who asked for one answer is none', async () => {
  upstream.use(answer(stream, { type: 'text/event-stream' }));
  const { status, body } = await post(gateway, '/v1/chat/completions', chatRequest());
  expect([status, JSON.parse(body.toString())]).toMatchObject([
    502,
    { error: { code: 'upstream_answer_malformed' } },
  ]);
  await upstream.allConnectionsClosed();
});

test.each([
  ['a page of a proxy', answer('<html>400</html>', { status: '400 Bad Request', type: 'text/html' })],
  ['nothing', answer('', { status: '422 Unprocessable Entity' })],
])('a refusal that says %s is told in the words of the protocol', async (_what, plan) => {
  upstream.use(plan);
  const chat = await post(gateway, '/v1/chat/completions', chatRequest());
  expect([chat.status, JSON.parse(chat.body.toString())]).toMatchObject([
    400,
    { error: { code: 'upstream_refused_request', type: 'invalid_request_error' } },
  ]);
  const messages = await post(gateway, '/v1/messages', messagesRequest());
  expect([messages.status, JSON.parse(messages.body.toString())]).toMatchObject([
    400,
    { type: 'error', error: { type: 'invalid_request_error' } },
  ]);
});
