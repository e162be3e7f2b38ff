import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
});
afterEach(() => gateway.close());
afterAll(() => upstream.close());

const start = async (limits: object[], shared: object = {}) => {
  gateway = await startGateway({
    shared: {
      ...shared,
      limits: limits.map((limit, index) => ({ name: `l${index}`, tenant: 'acme', per: 'day', ...limit })),
    },
    section: sectionFor({ openai: upstream.url }),
  });
};
const ask = (more: object = {}) => post(gateway, '/v1/chat/completions', chatRequest(more));

test('[I7] every answer tells what is left, and a refusal when to come back; a refused request is not asked of an upstream', async () => {
  await start([{ subject: 'key:*', unit: 'requests', amount: 2 }]);
  const before = upstream.requests.length;
  const first = await ask();
  expect([first.status, first.headers['ratelimit-policy'], first.headers.ratelimit]).toEqual([
    200,
    '"l0";q=2;w=86400',
    '"l0";r=1;t=43200',
  ]);
  await ask();
  const refused = await ask();
  expect(refused.status).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(43_000);
  expect(refused.headers.ratelimit).toMatch(/^"l0";r=0;t=86[34]\d\d$/);
  expect(JSON.parse(refused.body.toString()).error).toMatchObject({
    type: 'rate_limit_error',
    code: 'rate_limit_exceeded',
  });
  expect(upstream.requests.length - before).toBe(2);
});

test('tokens that were taken by estimate are corrected by what the upstream says', async () => {
  await start([{ subject: 'organisation:acme', unit: 'output_tokens', amount: 1030 }]);
  expect((await ask()).status).toBe(200); // 1024 by estimate, 5 in fact
  expect((await ask()).status).toBe(200);
  expect((await ask({ max_tokens: 1025 })).status).toBe(429);
});

test.each([false, true])(
  '[A8] a usage of zeros alone says nothing: its tokens stay as they were estimated (stream: %s)',
  async stream => {
    await start([{ subject: 'organisation:acme', unit: 'output_tokens', amount: 1030 }]);
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    const choice = { index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' };
    const chunk = { id: 'c', object: 'chat.completion.chunk', model: 'm', choices: [choice], usage };
    upstream.use(
      stream
        ? ssePlan([JSON.stringify(chunk), '[DONE]'])
        : jsonPlan({ ...(chatCompletion as object), usage }),
    );
    const answer = await ask({ stream });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-strata-input-tokens']).toBeUndefined();
    expect((await ask({ stream })).status).toBe(429);
    upstream.use(jsonPlan(chatCompletion));
  },
);

test('[I7] what a budget refuses counts nowhere: neither as a request nor as tokens', async () => {
  const budget = { name: 'b', tenant: 'acme', subject: 'model:chat', limit_usd: '0.000001', window: 'total' };
  const amounts = [
    { subject: 'key:*', unit: 'requests', amount: 2 },
    { subject: 'key:*', unit: 'input_tokens', amount: 2000 },
    { subject: 'key:*', unit: 'output_tokens', amount: 2100 },
    { subject: 'key:*', unit: 'concurrency', amount: 1 },
  ];
  await start(amounts, { budgets: [budget] });
  for (let tried = 0; tried < 5; tried++) {
    const refused = await ask();
    expect(refused.status).toBe(402);
    expect(refused.headers.ratelimit).toContain('"l0";r=1');
  }
});

test('a place is kept until the last byte, and no longer', async () => {
  await start([{ subject: 'model:chat', unit: 'concurrency', amount: 1 }]);
  const plan = jsonPlan(chatCompletion);
  upstream.use([{ op: 'stall', ms: 1000 }, ...plan]);
  const answers = await Promise.all([ask(), ask(), ask()]);
  expect(answers.map(answer => answer.status).sort()).toEqual([200, 429, 429]);
  upstream.use(plan);
  expect((await ask()).status).toBe(200);
});
