import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import {
  chatCompletion,
  chatEvents,
  chatStream,
  chatStreamWithoutUsage,
  messageEvents,
} from './recordings.ts';

/** The time of an attempt until its first token, and the time of a request over all its attempts. */

let first: FakeUpstream;
let second: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  first = await startFakeUpstream({ plan: [] });
  second = await startFakeUpstream({ plan: [] });
});
afterAll(async () => {
  await first.close();
  await second.close();
});
afterEach(() => gateway.close());

/** A target is never asked twice, so that what a test counts are targets. */
async function open(attempts: object, hold: object = {}): Promise<void> {
  const account = { api_key: 'sk-provider', allow_private: true };
  const openai = (url: string) => ({ type: 'openai-compatible', base_url: `${url}/v1`, ...account });
  gateway = await startGateway({
    section: {
      providers: {
        one: openai(first.url),
        two: openai(second.url),
        claude: { type: 'anthropic', base_url: first.url, ...account },
      },
      models: {
        chat: {
          targets: [
            { provider: 'one', model: 'a' },
            { provider: 'two', model: 'b' },
          ],
        },
        messages: { targets: [{ provider: 'claude', model: 'c' }] },
      },
      attempts: { max_rounds: 1, ...attempts },
      hold: { max_events: 1024, ...hold },
    },
  });
}

const chat = (more: object = {}) => post(gateway, '/v1/chat/completions', chatRequest(more));

async function requestsOfSecond(work: () => Promise<unknown>): Promise<number> {
  const before = second.requests.length;
  await work();
  return second.requests.length - before;
}

/** Longer than any limit here, in pieces that are far closer together than any silence that is allowed. */
const forEver = (piece: string): Plan => [
  { op: 'drip', bytes: piece.repeat(5000), sliceBytes: Buffer.byteLength(piece), everyMs: 20 },
];
const content = chatEvents.slice(0, 3).join('');

test.each<[string, boolean, Plan]>([
  ['a head that does not come', false, [{ op: 'stall' }]],
  ['the head of a stream that does not come', true, [{ op: 'stall' }]],
  ['a stream that says nothing', true, [eventStreamHead, { op: 'stall' }]],
  ['a stream of comments for ever', true, [eventStreamHead, ...forEver(': wait\n\n')]],
  ['a stream of empty events for ever', true, [eventStreamHead, ...forEver(chatEvents[0] ?? '')]],
])('no first token in time: the next target answers after %s', async (_name, stream, plan) => {
  await open({ first_token_timeout_ms: 1000 });
  first.use(plan);
  second.use(stream ? [eventStreamHead, { op: 'write', bytes: chatStream }] : jsonPlan(chatCompletion));
  const answer = await chat({ stream });
  expect(answer.headers).toMatchObject({ 'x-strata-provider': 'two', 'x-strata-attempts': '2' });
  expect(answer.body.toString()).toBe(stream ? chatStreamWithoutUsage : JSON.stringify(chatCompletion));
  const records = await gateway.recorded(2);
  expect(records[0]).toMatchObject({ outcome: 'failed', failure: 'transient' });
  expect((await first.closed(first.requests.length)).end?.how).toMatch(/^client-/);
});

test('no first token anywhere: the client learns why', async () => {
  await open({ first_token_timeout_ms: 200 });
  first.use([{ op: 'stall' }]);
  second.use([eventStreamHead, { op: 'stall' }]);
  const answer = await chat({ stream: true });
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString()).error.code).toBe('upstream_first_token_timeout');
});

test('no first token after the hold was given up: one error event, and nobody else is asked', async () => {
  await open({ first_token_timeout_ms: 1500 }, { max_ms: 50 });
  const preamble = chatEvents[0] ?? '';
  first.use([eventStreamHead, { op: 'write', bytes: preamble }, { op: 'stall' }]);
  const asked = await requestsOfSecond(async () => {
    const answer = await chat({ stream: true });
    const text = answer.body.toString();
    expect(text.startsWith(`${preamble}data: {"error":`)).toBe(true);
    expect(text).toContain('upstream_first_token_timeout');
    expect(answer.isComplete).toBe(true);
  });
  expect(asked).toBe(0);
  expect((await gateway.recorded(1))[0]).toMatchObject({ outcome: 'cut', failure: 'transient' });
});

test('the time of the first token says nothing about what follows it', async () => {
  await open({ first_token_timeout_ms: 1000 });
  const rest = chatStream.slice(content.length);
  first.use([
    eventStreamHead,
    { op: 'write', bytes: content },
    { op: 'stall', ms: 1300 },
    { op: 'write', bytes: rest },
  ]);
  expect((await chat({ stream: true })).body.toString()).toBe(chatStreamWithoutUsage);
  const whole = JSON.stringify(chatCompletion);
  first.use([
    { op: 'headers', headers: { 'content-type': 'application/json' } },
    { op: 'write', bytes: whole.slice(0, 20) },
    { op: 'stall', ms: 1300 },
    { op: 'write', bytes: whole.slice(20) },
  ]);
  expect((await chat()).body.toString()).toBe(whole);
});

test.each<[string, boolean, Plan]>([
  ['before the head', false, [{ op: 'stall' }]],
  ['in a stream that says nothing', true, [eventStreamHead, { op: 'stall' }]],
  [
    'in a whole answer that drips',
    false,
    [{ op: 'headers', headers: { 'content-type': 'application/json' } }, ...forEver(' ')],
  ],
])('the time of a request ends %s: 504, and no other target is asked', async (_name, stream, plan) => {
  await open({ total_timeout_ms: 500 });
  first.use(plan);
  const asked = await requestsOfSecond(async () => {
    const answer = await chat({ stream });
    expect(answer.status).toBe(504);
    expect(answer.headers['x-strata-attempts']).toBe('1');
    expect(JSON.parse(answer.body.toString()).error.code).toBe('request_timeout');
  });
  expect(asked).toBe(0);
  expect((await first.closed(first.requests.length)).end?.how).toMatch(/^client-/);
  expect((await gateway.recorded(1))[0]).toMatchObject({ outcome: 'failed', failure: 'transient' });
});

test('the time of a request ends in the wait between two rounds', async () => {
  await open({ total_timeout_ms: 1500, max_rounds: 2, max_wait_ms: 30_000 });
  const wait = jsonPlan(
    { error: { code: 'rate_limit_exceeded' } },
    { status: 429, headers: { 'retry-after': '20' } },
  );
  first.use(wait);
  second.use(wait);
  const answer = await chat();
  expect(answer.status).toBe(504);
  expect(answer.headers['x-strata-attempts']).toBe('2');
});

test('[AI-3] the time of a request ends in a stream that drips for ever: the error event of the protocol', async () => {
  await open({ total_timeout_ms: 2000 });
  first.use([eventStreamHead, { op: 'write', bytes: content }, ...forEver(chatEvents[1] ?? '')]);
  const asked = await requestsOfSecond(async () => {
    const answer = await chat({ stream: true });
    const [passed = '', error = ''] = answer.body.toString().split('data: {"error":');
    expect(passed.startsWith(content)).toBe(true);
    expect(error).toContain('request_timeout');
    expect(answer.isComplete).toBe(true);
  });
  expect(asked).toBe(0);
  expect((await first.closed(first.requests.length)).end?.how).toMatch(/^client-/);
  // A long answer that its caller wanted is no fault of the target.
  expect((await gateway.recorded(1))[0]).toMatchObject({ outcome: 'cut', failure: undefined });
});

test('[AI-3] the same in the words of Anthropic', async () => {
  await open({ total_timeout_ms: 2000 });
  const sent = messageEvents.slice(0, 5).join('');
  first.use([eventStreamHead, { op: 'write', bytes: sent }, ...forEver(messageEvents[4] ?? '')]);
  const text = (await post(gateway, '/v1/messages', messagesRequest({ stream: true }))).body.toString();
  expect(text.startsWith(sent)).toBe(true);
  const last = text.slice(text.lastIndexOf('event: error\ndata: ')).split('data: ')[1] ?? '';
  expect(JSON.parse(last)).toMatchObject({ type: 'error', error: { reason: 'request_timeout' } });
});

test('an official SDK sees a status of its own, and an error inside its stream', async () => {
  await open({ total_timeout_ms: 1500 });
  const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'Hi.' }];
  first.use([{ op: 'stall' }]);
  await expect(sdk.chat.completions.create({ model: 'chat', messages })).rejects.toMatchObject({
    status: 504,
    code: 'request_timeout',
  });
  first.use([eventStreamHead, { op: 'write', bytes: content }, ...forEver(chatEvents[1] ?? '')]);
  const read = async () => {
    const stream = await sdk.chat.completions.create({ model: 'chat', messages, stream: true });
    for await (const chunk of stream) expect(chunk.object).toBe('chat.completion.chunk');
  };
  await expect(read()).rejects.toMatchObject({ code: 'request_timeout' });
});
