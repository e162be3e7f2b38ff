import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { inOrder, type Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import {
  compressionBombPlan,
  cutStreamPlan,
  eventStreamHead,
  jsonPlan,
  rawPlan,
  stackedEncodingsPlan,
  wrongLengthPlan,
} from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import {
  chatCompletion,
  chatEvents,
  chatStream,
  chatStreamWithoutUsage,
  message,
  messageEvents,
  messageStream,
} from './recordings.ts';

let first: FakeUpstream;
let second: FakeUpstream;
let gateway: RunningGateway;

const good = jsonPlan(chatCompletion);
const goodStream: Plan = [eventStreamHead, { op: 'write', bytes: chatStream }];
const refusal = (status: number, code: string | null, headers: Record<string, string> = {}) =>
  jsonPlan(
    { error: { message: 'no sk-canary-1234', type: 'invalid_request_error', param: null, code } },
    { status, headers },
  );

const provider = (type: string, url: string) => ({
  type,
  base_url: type === 'anthropic' ? url : `${url}/v1`,
  api_key: 'sk-provider',
  allow_private: true,
});

beforeAll(async () => {
  first = await startFakeUpstream({ plan: good });
  second = await startFakeUpstream({ plan: good });
});
afterAll(async () => {
  await first.close();
  await second.close();
});

/** A fresh gateway each time: breakers, budgets and pauses of one test must not be another's. */
async function open(more: { attempts?: object; hold?: object; breaker?: object } = {}): Promise<void> {
  gateway = await startGateway({
    section: {
      providers: {
        one: provider('openai-compatible', first.url),
        two: provider('openai-compatible', second.url),
        three: provider('anthropic', first.url),
        four: provider('anthropic', second.url),
      },
      models: {
        chat: {
          targets: [
            { provider: 'one', model: 'a' },
            { provider: 'two', model: 'b' },
          ],
        },
        single: { targets: [{ provider: 'one', model: 'a' }] },
        messages: {
          targets: [
            { provider: 'three', model: 'c' },
            { provider: 'four', model: 'd' },
          ],
        },
      },
      ...more,
    },
  });
}
beforeEach(() => open());
afterEach(() => gateway.close());

const chat = (more: object = {}) => post(gateway, '/v1/chat/completions', chatRequest(more));
const messages = (more: object = {}) => post(gateway, '/v1/messages', messagesRequest(more));
const counts = () => [first.requests.length, second.requests.length];

/** How many requests each upstream got while `work` ran. */
async function requestsDuring(work: () => Promise<unknown>): Promise<number[]> {
  const [one = 0, two = 0] = counts();
  await work();
  return [first.requests.length - one, second.requests.length - two];
}

test.each([
  ['a refused connection inside HTTP', rawPlan('')],
  ['a reset before the head [F25]', [{ op: 'rst' }] satisfies Plan],
  ['500', refusal(500, null)],
  ['529', refusal(529, null)],
  ['429', refusal(429, 'rate_limit_exceeded')],
  ['no quota', refusal(429, 'insufficient_quota')],
  ["the gateway's own credential refused", refusal(401, 'invalid_api_key')],
  ['an unknown model', refusal(404, 'model_not_found')],
  ['a context that is too long', refusal(400, 'context_length_exceeded')],
  [
    'a redirect',
    [
      { op: 'status', status: 302 },
      { op: 'headers', headers: { location: 'http://127.0.0.1/' } },
    ] satisfies Plan,
  ],
  [
    'a 200 that holds an error [F40]',
    jsonPlan({ error: { message: 'x', type: 'server_error', code: null } }),
  ],
  [
    'a 200 that is not JSON',
    [
      { op: 'headers', headers: { 'content-type': 'application/json' } },
      { op: 'write', bytes: '<html>' },
    ] satisfies Plan,
  ],
  ['an answer shorter than its length [F34]', wrongLengthPlan('{"a":1}', 100)],
  ['bytes that are no HTTP', rawPlan('garbage\r\n\r\n')],
  ['a compression bomb [F32]', compressionBombPlan(10_000_000)],
  ['a thousand stacked encodings [F33]', stackedEncodingsPlan(1000)],
])('%s: the next target answers', async (_name, plan) => {
  first.use(plan);
  second.use(good);
  const answer = await chat();
  expect(answer.status).toBe(200);
  expect(answer.body.toString()).toBe(JSON.stringify(chatCompletion));
  expect(answer.headers).toMatchObject({ 'x-strata-provider': 'two', 'x-strata-attempts': '2' });
  const records = await gateway.recorded(2);
  expect(records.map(record => record.outcome)).toEqual(['failed', 'answered']);
});

test("the caller's own fault is answered with the upstream's own words, and nobody else is asked", async () => {
  const plan = refusal(400, null);
  first.use(plan);
  const requests = await requestsDuring(async () => {
    const answer = await chat();
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString()).error.message).toBe('no sk-canary-1234');
    expect(answer.headers['x-should-retry']).toBe('false');
  });
  expect(requests).toEqual([1, 0]);
});

const compressions = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync, deflate: deflateSync };
const compressed = (encoding: keyof typeof compressions, code: string | null, status = 400): Plan => [
  { op: 'status', status },
  { op: 'headers', headers: { 'content-type': 'application/json', 'content-encoding': encoding } },
  { op: 'write', bytes: compressions[encoding](JSON.stringify({ error: { message: 'said', code } })) },
];

test.each(['gzip', 'br', 'zstd', 'deflate'] as const)('what a refusal in %s says decides', async encoding => {
  first.use(compressed(encoding, null));
  const requests = await requestsDuring(async () => {
    const answer = await chat();
    expect(answer.status).toBe(400);
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(JSON.parse(answer.body.toString()).error.message).toBe('said');
    const translated = await messages({ model: 'single' });
    expect(translated.status).toBe(400);
    expect(JSON.parse(translated.body.toString()).error.message).toContain('said');
  });
  expect(requests).toEqual([2, 0]);
  first.use(compressed(encoding, 'insufficient_quota', 429));
  second.use(good);
  expect(await requestsDuring(chat), 'no other try where there is no quota').toEqual([1, 1]);
});

test('an answer that is compressed although nobody asked for it is passed on as it was', async () => {
  const head = {
    op: 'headers',
    headers: { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' },
  } as const;
  first.use([head, { op: 'write', bytes: gzipSync(chatStream) }]);
  expect((await chat({ stream: true })).body.toString()).toBe(chatStreamWithoutUsage.toString());
  first.use([
    { op: 'headers', headers: { 'content-type': 'application/json', 'content-encoding': 'br' } },
    { op: 'write', bytes: brotliCompressSync(JSON.stringify(chatCompletion)) },
  ]);
  const answer = await post(gateway, '/v1/chat/completions', chatRequest(), { 'accept-encoding': 'br' });
  expect(answer.headers).not.toHaveProperty('content-encoding');
  expect(answer.body.toString()).toBe(JSON.stringify(chatCompletion));
  const records = await gateway.recorded(2);
  expect(records.map(({ outcome }) => outcome)).toEqual(['answered', 'answered']);
});

test('a context that is too long everywhere: the last upstream says so itself', async () => {
  first.use(refusal(400, 'context_length_exceeded'));
  second.use(refusal(400, 'context_length_exceeded'));
  const answer = await chat();
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.body.toString()).error.code).toBe('context_length_exceeded');
});

test.each([
  ['credential', refusal(401, 'invalid_api_key'), 502, 'upstream_credential_refused'],
  ['quota', refusal(429, 'insufficient_quota'), 502, 'upstream_quota_exhausted'],
  ['model gone', refusal(404, 'model_not_found'), 502, 'upstream_model_gone'],
])(
  '%s: once each, told without the words of the provider, and not to be repeated',
  async (_name, plan, status, code) => {
    first.use(plan);
    second.use(plan);
    const requests = await requestsDuring(async () => {
      const answer = await chat();
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.body.toString()).error.code).toBe(code);
      expect(answer.body.toString()).not.toContain('canary');
      expect(answer.headers['x-should-retry']).toBe('false');
      expect(answer.headers['x-strata-attempts']).toBe('2');
    });
    expect(requests).toEqual([1, 1]);
  },
);

test('[F42] all providers down: one error with the list of causes', async () => {
  first.use(refusal(500, null));
  second.use([{ op: 'rst' }]);
  const answer = await chat();
  expect(answer.status).toBe(502);
  expect(answer.headers).toMatchObject({
    'x-strata-attempts': expect.stringMatching(/^[2-4]$/),
    'x-strata-provider': 'two',
    'x-strata-model': expect.any(String),
    'x-strata-overhead-ms': expect.stringMatching(/^\d+\.\d\d$/),
  });
  const { error } = JSON.parse(answer.body.toString());
  expect(error.details.attempts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ provider: 'one', status: 500, failure: 'transient' }),
      expect.objectContaining({ provider: 'two', reason: 'upstream_reset' }),
    ]),
  );
});

test('a single target is tried again after a moment', async () => {
  first.use(inOrder(refusal(503, null), good));
  const requests = await requestsDuring(async () => {
    const answer = await post(gateway, '/v1/chat/completions', { ...chatRequest(), model: 'single' });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-strata-attempts']).toBe('2');
  });
  expect(requests).toEqual([2, 0]);
});

test('[F35] a short Retry-After is waited for', async () => {
  first.use(inOrder(refusal(429, 'rate_limit_exceeded', { 'retry-after-ms': '150' }), good));
  const started = performance.now();
  const answer = await post(gateway, '/v1/chat/completions', { ...chatRequest(), model: 'single' });
  expect(answer.status).toBe(200);
  expect(performance.now() - started).toBeGreaterThan(140);
});

test('[F35] a long Retry-After is told to the client, capped, and the target is left alone meanwhile', async () => {
  first.use(refusal(429, 'rate_limit_exceeded', { 'retry-after': '86400' }));
  const single = () => post(gateway, '/v1/chat/completions', { ...chatRequest(), model: 'single' });
  const requests = await requestsDuring(async () => {
    for (const answer of [await single(), await single(), await single()]) {
      expect(answer.status).toBe(429);
      expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(50);
      expect(JSON.parse(answer.body.toString()).error.code).toBe('upstream_rate_limited');
    }
  });
  expect(requests).toEqual([1, 0]);
});

test('[F39] a head that never comes: the next target answers', async () => {
  await gateway.close();
  await open({ attempts: { headers_timeout_ms: 300 } });
  first.use([{ op: 'stall' }]);
  second.use(good);
  const answer = await chat();
  expect(answer.headers['x-strata-provider']).toBe('two');
});

test.each([
  ['chat', 0],
  ['chat', 1],
])('[AI-1] %s: an error inside a 200 after %i empty events still falls back', async (_name, events) => {
  const error = 'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n';
  first.use([eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, events).join('') + error }]);
  second.use(goodStream);
  const answer = await chat({ stream: true });
  expect(answer.headers['x-strata-provider']).toBe('two');
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
});

test('[AI-1] Anthropic: an overloaded error after message_start and ping still falls back', async () => {
  const error = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n';
  first.use([eventStreamHead, { op: 'write', bytes: messageEvents.slice(0, 3).join('') + error }]);
  second.use([eventStreamHead, { op: 'write', bytes: messageStream }]);
  const answer = await messages({ stream: true });
  expect(answer.headers['x-strata-provider']).toBe('four');
  expect(answer.body.toString()).toBe(messageStream);
});

test('[AI-1] after the first byte no other target is asked: the error of the upstream is passed on, without an end', async () => {
  const error = 'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n';
  first.use([
    eventStreamHead,
    { op: 'write', bytes: `${chatEvents.slice(0, 2).join('')}${error}data: [DONE]\n\n` },
  ]);
  const requests = await requestsDuring(async () => {
    const answer = await chat({ stream: true });
    expect(answer.body.toString()).toBe(chatEvents.slice(0, 2).join('') + error);
  });
  expect(requests).toEqual([1, 0]);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ outcome: 'cut', failure: 'transient' });
});

test('the hold is bounded in events: then what is there goes out, and no other target is asked', async () => {
  await gateway.close();
  await open({ hold: { max_events: 3 } });
  const preamble = chatEvents[0] ?? '';
  first.use([eventStreamHead, { op: 'write', bytes: preamble.repeat(3) }, { op: 'rst' }]);
  const answer = await chat({ stream: true });
  expect(answer.headers['x-strata-provider']).toBe('one');
  expect(answer.body.toString().startsWith(preamble.repeat(3))).toBe(true);
});

test('the hold is bounded in time', async () => {
  await gateway.close();
  await open({ hold: { max_ms: 50 } });
  const rest = chatStream.slice(chatEvents[0]?.length);
  first.use([
    eventStreamHead,
    { op: 'write', bytes: chatEvents[0] ?? '' },
    { op: 'stall', ms: 200 },
    { op: 'write', bytes: rest },
  ]);
  const answer = await chat({ stream: true });
  expect(answer.body.toString()).toBe(chatStreamWithoutUsage);
  const [record] = await gateway.recorded(1);
  expect(record?.firstEventMs).toBeUndefined();
});

/** Byte offsets at which the n-th event of a stream is complete. */
function boundaries(events: readonly string[]): number[] {
  let bytes = 0;
  return events.map(event => {
    bytes += Buffer.byteLength(event);
    return bytes;
  });
}

const chatBytes = Buffer.from(chatStream);
const chatBoundaries = boundaries(chatEvents);
const committedAt = chatBoundaries[1] ?? 0;

test.each(['rst', 'fin'] as const)(
  '[F26] [F27] [I10] [I13] [AI-3] %s after k bytes, all k: fallback before the first meaningful event, else a prefix and one error event',
  async how => {
    second.use(goodStream);
    for (let k = 0; k < chatBytes.length; k++) {
      if (k % 500 === 0) {
        await gateway.close(); // before so many failures open the circuit
        await open({ attempts: { max_rounds: 1 }, breaker: { failures: 1000 } });
      }
      first.use(cutStreamPlan(chatBytes, { afterBytes: k, how }));
      const answer = await chat({ stream: true });
      const text = answer.body.toString();
      if (k < committedAt) {
        expect(answer.headers['x-strata-provider'], `cut after ${k}`).toBe('two');
        expect(text).toBe(chatStreamWithoutUsage);
        continue;
      }
      if (answer.headers['x-strata-provider'] === 'two') {
        // A reset may overtake what was written before it: then nothing meaningful had come.
        expect(how).toBe('rst');
        expect(text).toBe(chatStreamWithoutUsage);
        continue;
      }
      const at = text.lastIndexOf('data: {"error":');
      expect(at, `an error event after ${k} bytes`).toBeGreaterThan(0);
      expect(chatStreamWithoutUsage.startsWith(text.slice(0, at))).toBe(true);
      expect(text).not.toContain('[DONE]');
      expect(JSON.parse(text.slice(at + 6))).toMatchObject({ error: { type: 'server_error' } });
      expect(answer.isComplete).toBe(true);
    }
  },
  240_000, // more than a thousand streams
);

test('[F27] [AI-3] Anthropic: a stream without its end is ended by an error event', async () => {
  for (let count = 4; count < messageEvents.length - 2; count++) {
    const sent = messageEvents.slice(0, count).join('');
    first.use([eventStreamHead, { op: 'write', bytes: sent }]);
    const text = (await messages({ stream: true })).body.toString();
    expect(text.startsWith(`${sent}event: error\ndata: `)).toBe(true);
    expect(JSON.parse(text.slice(sent.length).split('data: ')[1] ?? '')).toMatchObject({
      type: 'error',
      error: { type: 'api_error', reason: 'upstream_stream_truncated' },
    });
  }
});

test('[F38] an upstream that falls silent in the middle: one error event', async () => {
  await gateway.close();
  await open({ attempts: { idle_timeout_ms: 300 } });
  const sent = chatEvents.slice(0, 3).join('');
  first.use([eventStreamHead, { op: 'write', bytes: sent }, { op: 'stall' }]);
  const text = (await chat({ stream: true })).body.toString();
  expect(text.startsWith(`${sent}data: {"error":`)).toBe(true);
  expect(text).toContain('upstream_body_timeout');
});

test('[F31] a line without an end is given up at its limit, in bounded memory', async () => {
  const junk = Buffer.alloc(64 * 1024, 'x');
  first.use([
    eventStreamHead,
    { op: 'write', bytes: chatEvents.slice(0, 2).join('') },
    { op: 'repeat', bytes: junk, times: 1600 },
  ]);
  const before = process.memoryUsage().rss;
  const text = (await chat({ stream: true })).body.toString();
  expect(text).toContain('sse_line_too_long');
  expect(text.length).toBeLessThan(4096);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
});

test('a whole answer that is too large is given up', async () => {
  await gateway.close();
  await open();
  first.use([
    { op: 'headers', headers: { 'content-type': 'application/json' } },
    { op: 'repeat', bytes: Buffer.alloc(1 << 20, ' '), times: 100 },
  ]);
  second.use(good);
  const answer = await chat();
  expect(answer.headers['x-strata-provider']).toBe('two');
});

test('Anthropic: the next target answers, and errors come in the shape of the protocol', async () => {
  first.use(jsonPlan({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }, { status: 529 }));
  second.use(jsonPlan(message));
  expect((await messages()).headers['x-strata-provider']).toBe('four');
  second.use(jsonPlan({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }, { status: 529 }));
  const answer = await messages();
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    type: 'error',
    error: { type: 'overloaded_error' },
  });
});
