import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion } from './recordings.ts';

/** Pools of keys of one provider: who is asked while some of them cannot be used. */

const upstream = await startFakeUpstream({ plan: [] });
let gateway: RunningGateway | undefined;
afterEach(() => gateway?.close());
afterAll(() => upstream.close());

const answer = jsonPlan(chatCompletion);
const refused = jsonPlan({ error: { message: 'no', code: 'invalid_api_key' } }, { status: 401 });
const exhausted = jsonPlan({ error: { message: 'no', code: 'insufficient_quota' } }, { status: 429 });
const throttled = jsonPlan({ error: { message: 'no' } }, { status: 429, headers: { 'retry-after': '30' } });

async function open(keys: readonly string[], bad: Readonly<Record<string, Plan>>): Promise<RunningGateway> {
  const base_url = `${upstream.url}/v1`;
  gateway = await startGateway({
    section: {
      providers: { pool: { type: 'openai-compatible', base_url, api_key: keys, allow_private: true } },
      models: { chat: { targets: [{ provider: 'pool', model: 'm' }] } },
    },
  });
  upstream.use(({ headers }) => bad[keyOf(headers)] ?? answer);
  return gateway;
}

const keyOf = (headers: Readonly<Record<string, string>>) =>
  headers.authorization?.replace('Bearer ', '') ?? '';

async function ask(pool: RunningGateway, count: number) {
  const from = upstream.requests.length;
  const answers = [];
  for (let index = 0; index < count; index++)
    answers.push(await post(pool, '/v1/chat/completions', chatRequest()));
  const asked: Record<string, number> = {};
  for (const { headers } of upstream.requests.slice(from))
    asked[keyOf(headers)] = (asked[keyOf(headers)] ?? 0) + 1;
  return { answers, asked };
}

test.each([
  ['refused', refused],
  ['without quota', exhausted],
  ['throttled', throttled],
])('one key of six is left, the others are %s: it answers, in one attempt', async (_what, plan) => {
  const keys = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6'];
  const pool = await open(keys, Object.fromEntries(keys.slice(0, 5).map(key => [key, plan])));
  await ask(pool, 6);
  const { answers, asked } = await ask(pool, 12);
  expect(answers.map(({ status, headers }) => [status, headers['x-strata-attempts']])).toEqual(
    Array(12).fill([200, '1']),
  );
  expect(asked).toEqual({ k6: 12 });
});

test('the share of a key that rests falls to all others alike', async () => {
  const pool = await open(['k1', 'k2', 'k3', 'k4'], { k2: refused });
  await ask(pool, 8);
  const { asked } = await ask(pool, 30);
  expect(asked).toEqual({ k1: 10, k3: 10, k4: 10 });
});

test('all keys are refused: the client is told that, and not that it asks too often', async () => {
  const pool = await open(['k1', 'k2'], { k1: refused, k2: refused });
  const { answers, asked } = await ask(pool, 4);
  expect(asked).toEqual({ k1: 1, k2: 1 });
  for (const { status, body } of answers)
    expect([status, JSON.parse(body.toString())]).toMatchObject([
      502,
      { error: { code: 'upstream_credential_refused' } },
    ]);
});

test('a caller who names what the account may not read takes no key from the others', async () => {
  const own = { api_key: ['k1', 'k2'], allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        google: { ...own, type: 'gemini', base_url: `${upstream.url}/v1beta` },
        aws: { ...own, type: 'bedrock', region: 'us-east-1', base_url: upstream.url },
      },
      models: {
        google: { targets: [{ provider: 'google', model: 'm' }] },
        aws: { targets: [{ provider: 'aws', model: 'm' }] },
      },
    },
  });
  const answers = {
    google: { candidates: [{ content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }] },
    aws: { output: { message: { role: 'assistant', content: [{ text: 'Hi' }] } }, stopReason: 'end_turn' },
  };
  const google = { code: 403, status: 'PERMISSION_DENIED', message: 'You may not access the File x.' };
  const denials = {
    google: jsonPlan({ error: google }, { status: 403 }),
    aws: jsonPlan(
      { message: 'Access denied to s3.' },
      { status: 403, headers: { 'x-amzn-errortype': 'AccessDeniedException' } },
    ),
  };
  const fileUri = 'https://generativelanguage.googleapis.com/v1beta/file/x';
  const part = {
    google: { fileData: { fileUri } },
    aws: { image: { format: 'png', source: { s3Location: { uri: 's3://b/x' } } } },
  };
  const paths = { google: '/v1beta/models/google:generateContent', aws: '/model/aws/converse' };
  for (const vendor of ['google', 'aws'] as const) {
    const ask = (parts: object[]) =>
      post(
        gateway ?? expect.fail(),
        paths[vendor],
        vendor === 'google'
          ? { contents: [{ role: 'user', parts }] }
          : { messages: [{ role: 'user', content: parts }] },
      );
    const names = (body: string) => body.includes('file/x') || body.includes('s3://b/x');
    upstream.use(request => (names(request.body().toString()) ? denials[vendor] : jsonPlan(answers[vendor])));
    const refusal = await ask([part[vendor], { text: 'Read it.' }]);
    expect([refusal.status, refusal.headers['x-strata-attempts']], vendor).toEqual([403, '2']);
    expect(refusal.body.toString()).toContain('may not read what the request names');
    expect(refusal.body.toString()).not.toMatch(/access/i); // the provider's words, which may name the account
    const from = upstream.requests.length;
    for (let index = 0; index < 4; index++) {
      const { status, headers } = await ask([{ text: 'Hi' }]);
      expect([status, headers['x-strata-attempts']], vendor).toEqual([200, '1']);
    }
    const keys = upstream.requests
      .slice(from)
      .map(({ headers }) => headers['x-goog-api-key'] ?? headers.authorization);
    expect(new Set(keys).size, vendor).toBe(2);
  }
});
