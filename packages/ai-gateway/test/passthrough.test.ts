import { byPath, type Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan, slicedStreamPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  chatRequest,
  messagesRequest,
  post,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';
import {
  chatCompletion,
  chatCostNanoUsd,
  chatStream,
  chatStreamWithoutUsage,
  chatUsageEvent,
  message,
  messageEvents,
  messageStream,
} from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

const streamPlan = (text: string): Plan => [eventStreamHead, { op: 'write', bytes: text }];

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan({}) });
  gateway = await startGateway({ section: sectionFor({ openai: upstream.url, anthropic: upstream.url }) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

const last = () => {
  const request = upstream.requests.at(-1);
  if (!request) throw new Error('nothing was sent upstream');
  return request;
};

test('[AI-2] the request reaches the upstream byte for byte, but for the model', async () => {
  upstream.use(jsonPlan(chatCompletion));
  const body =
    '{ "messages" : [ {"role":"user","content":"\\u0041 \\"model\\": \\"x\\""} ],\n\t"model":"chat", "seed": 12345678901234567890 ,"x":{"model":"y"}}';
  const answer = await post(gateway, '/v1/chat/completions', body);
  expect(answer.status).toBe(200);
  expect(last().body().toString()).toBe(body.replace('"model":"chat"', '"model":"gpt-upstream"'));
  expect(last().path).toBe('/v1/chat/completions');
});

test('[AI-2] the answer reaches the client byte for byte, with provider, model, attempts and cost in headers', async () => {
  upstream.use(jsonPlan(chatCompletion));
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect(answer.body.toString()).toBe(JSON.stringify(chatCompletion));
  expect(answer.headers).toMatchObject({
    'x-strata-provider': 'fake-openai',
    'x-strata-model': 'gpt-upstream',
    'x-strata-attempts': '1',
    'x-strata-cost-nano-usd': String(chatCostNanoUsd),
    'content-type': 'application/json',
  });
  expect(answer.headers['x-request-id']).toMatch(/^req_/);
});

test('Anthropic Messages: path, credential, version and betas; the answer and its cost', async () => {
  upstream.use(jsonPlan(message));
  const answer = await post(gateway, '/v1/messages', messagesRequest(), {
    'anthropic-version': '2024-01-01',
    'anthropic-beta': 'context-1m-2025-08-07',
    'x-evil': 'no',
    cookie: 'no',
  });
  expect(answer.body.toString()).toBe(JSON.stringify(message));
  expect(answer.headers['x-strata-cost-nano-usd']).toBe(String(chatCostNanoUsd));
  expect(last().path).toBe('/v1/messages');
  expect(last().headers).toMatchObject({
    'x-api-key': 'sk-ant-provider-canary',
    'anthropic-version': '2024-01-01',
    'anthropic-beta': 'context-1m-2025-08-07',
    'accept-encoding': 'identity',
  });
  expect(last().headers).not.toHaveProperty('x-evil');
  expect(last().headers).not.toHaveProperty('cookie');
});

test('every answer names the request, streamed or whole, in the header of its protocol and in the one of all', async () => {
  for (const plan of [jsonPlan(message), streamPlan(messageStream)]) {
    upstream.use(plan);
    const { headers } = await post(gateway, '/v1/messages', messagesRequest());
    expect(headers['x-request-id']).toMatch(/^req_/);
    expect(headers['request-id']).toBe(headers['x-request-id']);
  }
});

test("[A2] the caller's key never goes upstream, the provider's never comes down", async () => {
  upstream.use(jsonPlan(chatCompletion, { headers: { 'set-cookie': 'a=b', 'x-hostile': '1', server: 'x' } }));
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  const sent = JSON.stringify(last().rawHeaders);
  expect(sent).toContain('sk-provider-canary');
  expect(sent).not.toContain(gateway.key);
  expect(JSON.stringify(answer.headers)).not.toContain('canary');
  expect(answer.headers).not.toHaveProperty('set-cookie');
  expect(answer.headers).not.toHaveProperty('x-hostile');
});

test('[A9] the usage of a stream is asked for, counted, and kept from a client that did not ask', async () => {
  upstream.use(streamPlan(chatStream));
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  expect(last().json()).toMatchObject({ stream_options: { include_usage: true } });
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
  expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8');
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({
    outcome: 'answered',
    usageSource: 'reported',
    usage: { input: 8, cacheRead: 4, output: 5 },
    costNanoUsd: BigInt(chatCostNanoUsd),
    isStream: true,
  });
  expect(record?.firstEventMs).toBeGreaterThan(0);
});

test('[A9] a client that asked gets its usage, and the request goes up as it came', async () => {
  upstream.use(streamPlan(chatStream));
  const body = chatRequest({ stream: true, stream_options: { include_usage: true } });
  const answer = await post(gateway, '/v1/chat/completions', body);
  expect(last().body().toString()).toBe(JSON.stringify({ ...body, model: 'gpt-upstream' }));
  expect(answer.body.toString()).toBe(chatStream);
});

test('[A9] other stream options are kept when the usage is asked for', async () => {
  upstream.use(streamPlan(chatStream));
  const stream_options = { include_obfuscation: false, include_usage: false };
  await post(gateway, '/v1/chat/completions', chatRequest({ stream: true, stream_options }));
  expect(last().json()).toMatchObject({
    stream_options: { include_obfuscation: false, include_usage: true },
  });
});

test('a stream tells its cost in a comment before the end when the client asked', async () => {
  upstream.use(byPath({ '/v1/chat/completions': streamPlan(chatStream), '*': streamPlan(messageStream) }));
  const headers = { 'x-strata-usage': 'comment' };
  const chat = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }), headers);
  const comment = `: strata cost_nano_usd=${chatCostNanoUsd}\n\n`;
  expect(chat.body.toString()).toBe(chatStreamWithoutUsage.replace('data: [DONE]', `${comment}data: [DONE]`));
  const messages = await post(gateway, '/v1/messages', messagesRequest({ stream: true }), headers);
  expect(messages.body.toString()).toBe(
    messageStream.replace('event: message_stop', `${comment}event: message_stop`),
  );
});

test.each([1, 2, 3, 5, 7, 64])(
  '[F28] [AI-2] streams cut into slices of %i bytes come out byte for byte',
  async slice => {
    upstream.use(
      byPath({
        '/v1/chat/completions': slicedStreamPlan(chatStream, slice),
        '*': slicedStreamPlan(messageStream, slice),
      }),
    );
    const [chat, messages] = await Promise.all([
      post(gateway, '/v1/chat/completions', chatRequest({ stream: true })),
      post(gateway, '/v1/messages', messagesRequest({ stream: true })),
    ]);
    expect(chat.body.toString()).toBe(chatStreamWithoutUsage);
    expect(messages.body.toString()).toBe(messageStream);
    const records = await gateway.recorded(2);
    expect(records.map(record => record.costNanoUsd)).toEqual([
      BigInt(chatCostNanoUsd),
      BigInt(chatCostNanoUsd),
    ]);
  },
);

test('[F28] [F29] property: line ends of any kind, cut anywhere, come out as they came', async () => {
  const split = fc.tuple(
    fc.constantFrom('\n', '\r\n', '\r'),
    fc.array(fc.nat(chatStream.length), { maxLength: 12 }),
    fc.constantFrom('', '\ufeff'),
  );
  await fc.assert(
    fc.asyncProperty(split, async ([lineEnd, cuts, mark]) => {
      const text = (stream: string) => mark + stream.replaceAll('\n', lineEnd);
      const bytes = Buffer.from(text(chatStream));
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const steps = at.slice(1).map((end, index): Plan[number] => ({
        op: 'drip',
        bytes: bytes.subarray(at[index], end),
        sliceBytes: bytes.length,
      }));
      upstream.use([eventStreamHead, ...steps]);
      const answer = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
      expect(answer.body.toString()).toBe(text(chatStreamWithoutUsage));
    }),
    { numRuns: 40 },
  );
});

test('[F30] what is not JSON inside a stream is passed on and breaks nothing', async () => {
  const garbage = 'data: {"choices": [{"delta\n\ndata: \u0000\u0001 not json\n\nevent: odd\n\n';
  const withGarbage = chatStream.replace(': a comment', `${garbage}: a comment`);
  upstream.use(streamPlan(withGarbage));
  const body = chatRequest({ stream: true, stream_options: { include_usage: true } });
  const answer = await post(gateway, '/v1/chat/completions', body);
  expect(answer.body.toString()).toBe(withGarbage);
});

test('a price that is not known is no price: the header is absent and says why', async () => {
  upstream.use(
    jsonPlan({
      ...chatCompletion,
      usage: { ...chatCompletion.usage, prompt_tokens_details: { cache_write_tokens: 3 } },
    }),
  );
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect(answer.headers).not.toHaveProperty('x-strata-cost-nano-usd');
  expect(answer.headers['x-strata-unpriced']).toBe('true');
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ usageSource: 'reported', costNanoUsd: undefined });
});

test('[F41] impossible usage is brought within bounds and marked', async () => {
  upstream.use(jsonPlan({ ...chatCompletion, usage: { prompt_tokens: -5, completion_tokens: 1e18 } }));
  await post(gateway, '/v1/chat/completions', chatRequest());
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ usageSource: 'anomalous', usage: { input: 0, output: 1_000_000_000 } });
});

test('[F41] usage that is told twice is booked once', async () => {
  const messageUsage = messageEvents.find(event => event.startsWith('event: message_delta')) ?? expect.fail();
  upstream.use(
    byPath({
      '/v1/chat/completions': streamPlan(chatStream.replace(chatUsageEvent, chatUsageEvent.repeat(2))),
      '*': streamPlan(messageStream.replace(messageUsage, messageUsage + messageUsage)),
    }),
  );
  await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  await post(gateway, '/v1/messages', messagesRequest({ stream: true }));
  const records = await gateway.recorded(2);
  const cost = BigInt(chatCostNanoUsd);
  expect(records.map(({ costNanoUsd }) => costNanoUsd)).toEqual([cost, cost]);
});

test('[F41] usage that is missing is said to be, and is booked at no price of nought', async () => {
  upstream.use(streamPlan(chatStream.replace(chatUsageEvent, '')));
  await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ outcome: 'answered', usageSource: 'missing', costNanoUsd: undefined });
});

test('an upstream that forgot its terminal event but had finished gets it added', async () => {
  upstream.use(streamPlan(chatStream.replace('data: [DONE]\n\n', '')));
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
});

test('a last event without its blank line still ends the stream', async () => {
  upstream.use(streamPlan(chatStream.trimEnd()));
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
});

test('a stream that goes on after its end is cut there, and the client is not kept waiting', async () => {
  upstream.use([
    eventStreamHead,
    { op: 'write', bytes: `${chatStream}data: more\n\n` },
    { op: 'stall', ms: 5000 },
  ]);
  const started = performance.now();
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
  expect(performance.now() - started).toBeLessThan(900);
});

test.each([404, 405, 409, 410])(
  'what a provider’s own API says with status %i is said to who asked, once and as it is',
  async status => {
    const before = upstream.requests.length;
    upstream.use(jsonPlan({ error: { message: 'There is no such job.', code: 'not_found' } }, { status }));
    const answer = await fetch(`${gateway.url}/providers/fake-openai/fine_tuning/jobs/ft-1`, {
      headers: { authorization: `Bearer ${gateway.key}` },
    });
    expect([answer.status, await answer.json()]).toEqual([
      status,
      { error: { message: 'There is no such job.', code: 'not_found' } },
    ]);
    expect(upstream.requests.length).toBe(before + 1);
  },
);

test.each([
  ['first', ['{"error":{"message":"run is odd","code":"odd"}}', '{"n":1}']],
  ['in the middle', ['{"n":1}', '{"type":"error","error":{"message":"run is odd"}}', '{"n":2}']],
])(
  '[AI-2] an error that comes %s in a stream of a provider’s own API is passed on as it is, and asked for once',
  async (_at, events) => {
    const before = upstream.requests.length;
    const written = events.map(event => `event: thread.run\ndata: ${event}\n\n`).join('');
    upstream.use([eventStreamHead, { op: 'write', bytes: written }]);
    const answer = await post(gateway, '/providers/fake-openai/threads/runs', { stream: true });
    expect([answer.status, answer.body.toString()]).toEqual([200, written]);
    expect(upstream.requests.length).toBe(before + 1);
  },
);
