import { connect } from 'node:net';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  chatRequest,
  messagesRequest,
  post,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';
import { chatCompletion, chatCostNanoUsd, chatEvents, message } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
});
afterEach(() => gateway.close());
afterAll(() => upstream.close());

/** At 2 USD a million, 100 tokens of output cost 200,000 nano-USD; the request itself is below 2000 tokens. */
const request = (more: object = {}) => chatRequest({ max_tokens: 100, ...more });

const start = async (budgets: object[], plan: Plan = jsonPlan(chatCompletion)) => {
  upstream.use(plan);
  gateway = await startGateway({
    keepsRecords: false,
    shared: {
      budgets: budgets.map((budget, index) => ({
        name: `b${index}`,
        tenant: 'acme',
        window: 'total',
        ...budget,
      })),
    },
    section: sectionFor({ openai: upstream.url, anthropic: upstream.url }),
  });
};
const totals = async (index = 0) => {
  await gateway.deps.ledger.flush();
  const found = await gateway.deps.budgets.store.totals(`config:b${index}`);
  return { spent: found?.spentNanoUsd, lost: found?.lostNanoUsd };
};
const entries = () => gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();

test('[$-1] a request that could cost more than is left is refused before anything is asked of an upstream', async () => {
  await start([{ subject: 'principal:user:ada', limit_usd: '0.0001' }]);
  const before = upstream.requests.length;
  const refused = await post(gateway, '/v1/chat/completions', request());
  expect(refused.status).toBe(402);
  expect(refused.headers['x-should-retry']).toBe('false');
  expect(JSON.parse(refused.body.toString()).error).toMatchObject({
    type: 'insufficient_quota',
    code: 'budget_exceeded',
    details: { budget_subject: 'principal:user:ada', available_nano_usd: '100000' },
  });
  const anthropic = await post(gateway, '/v1/messages', messagesRequest());
  expect([anthropic.status, JSON.parse(anthropic.body.toString()).error.reason]).toEqual([
    402,
    'budget_exceeded',
  ]);
  expect(upstream.requests.length).toBe(before);
  await gateway.deps.ledger.flush();
  expect(await entries()).toEqual([]);
});

test('[$-1] what was set aside is settled once with what was metered, in all budgets on the way', async () => {
  await start([
    { subject: 'organisation:acme', limit_usd: '1' },
    { subject: 'model:ch*', limit_usd: '1' },
    { subject: 'organisation:acme', limit_usd: '1', mode: 'soft' },
    { subject: 'model:other', limit_usd: '1' },
  ]);
  for (let count = 0; count < 3; count++) await post(gateway, '/v1/chat/completions', request());
  const spent = BigInt(3 * chatCostNanoUsd);
  for (const index of [0, 1, 2]) expect(await totals(index)).toEqual({ spent, lost: 0n });
  expect(await totals(3)).toEqual({ spent: 0n, lost: 0n });
});

test('[$-1] [F46] of many at once no more are let through than the budget can pay at worst', async () => {
  await start(
    [{ subject: 'organisation:acme', limit_usd: '0.003' }],
    [{ op: 'stall', ms: 500 }, ...jsonPlan(chatCompletion)],
  );
  const before = upstream.requests.length;
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => post(gateway, '/v1/chat/completions', request())),
  );
  const answered = answers.filter(({ status }) => status === 200).length;
  const refused = answers.filter(({ status }) => status === 402).length;
  expect(answered + refused).toBe(100);
  expect(refused).toBeGreaterThan(0);
  expect(upstream.requests.length - before).toBe(answered);
  expect(await totals()).toEqual({ spent: BigInt(answered * chatCostNanoUsd), lost: 0n });
});

test('[$-1] a failed attempt gives back what it had set aside', async () => {
  await start(
    [{ subject: 'organisation:acme', limit_usd: '0.01' }],
    jsonPlan({ error: { code: 'x' } }, { status: 500 }),
  );
  for (let count = 0; count < 20; count++) await post(gateway, '/v1/chat/completions', request());
  expect(await totals()).toEqual({ spent: 0n, lost: 0n });
});

test('[$-1] [A6] a client that leaves in the middle is charged an estimate that says so', async () => {
  await start(
    [{ subject: 'organisation:acme', limit_usd: '1' }],
    [eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, 3).join('') }, { op: 'stall' }],
  );
  const exchange = upstream.requests.length;
  const body = JSON.stringify(request({ stream: true }));
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  const seen = new Promise<void>(resolve => {
    socket.on('data', chunk => chunk.includes('chat.completion.chunk') && resolve());
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${gateway.key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await seen;
  socket.resetAndDestroy();
  await upstream.closed(exchange);
  await expect.poll(() => totals().then(({ spent }) => spent), { timeout: 20_000 }).toBeGreaterThan(0n);
  const [entry] = await entries();
  expect(entry).toMatchObject({ outcome: 'cancelled', usage_source: 'estimated', team: 'default' });
  expect(BigInt(entry?.cost_nano_usd ?? 0)).toBe((await totals()).spent);
});

test('[$-1] [A8] a whole answer that tells no usage is charged what passed through, and no more than was set aside', async () => {
  const { usage: _untold, ...untold } = chatCompletion as Record<string, unknown>;
  const text = 'word '.repeat(40);
  const answer = { ...untold, choices: [{ index: 0, message: { role: 'assistant', content: text } }] };
  await start([{ subject: 'organisation:acme', limit_usd: '1' }], jsonPlan(answer));
  for (const max_tokens of [1000, 10]) {
    expect((await post(gateway, '/v1/chat/completions', request({ max_tokens }))).status).toBe(200);
  }
  await gateway.deps.ledger.flush();
  const [wide, narrow] = await entries();
  expect(wide?.usage_source).toBe('estimated');
  expect(Number(wide?.output)).toBeGreaterThanOrEqual(text.length / 4);
  expect(Number(narrow?.output)).toBe(10);
});

test.each([
  [
    '/v1/chat/completions',
    request(),
    { ...chatCompletion, usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } },
  ],
  ['/v1/messages', messagesRequest(), { ...message, usage: { input_tokens: 0, output_tokens: 0 } }],
])(
  '[$-1] [A8] %s: an answer whose usage is nothing but zeros is charged like one that tells none',
  async (path, body, answer) => {
    await start([{ subject: 'organisation:acme', limit_usd: '1' }], jsonPlan(answer));
    expect((await post(gateway, path, body)).status).toBe(200);
    await gateway.deps.ledger.flush();
    const [entry] = await entries();
    expect(entry?.usage_source).toBe('estimated');
    expect(Number(entry?.cost_nano_usd)).toBeGreaterThan(0);
  },
);

test('[$-2] a model without a price cannot spend from a budget', async () => {
  await start([{ subject: 'model:free', limit_usd: '1' }]);
  await gateway.close();
  upstream.use(jsonPlan(chatCompletion));
  const section = sectionFor({ openai: upstream.url }) as { models: Record<string, unknown> };
  section.models.free = { targets: [{ provider: 'fake-openai', model: 'unheard-of' }] };
  const budgets = [{ name: 'b0', tenant: 'acme', subject: 'model:free', limit_usd: '1' }];
  gateway = await startGateway({ keepsRecords: false, shared: { budgets }, section });
  const refused = await post(gateway, '/v1/chat/completions', request({ model: 'free' }));
  expect([refused.status, JSON.parse(refused.body.toString()).error.code]).toEqual([402, 'cost_unknown']);
});

test('[$-2] what a provider’s own API may cost is not known: under a budget it is refused, and reading there goes on', async () => {
  await start([{ subject: 'organisation:acme', limit_usd: '1' }]);
  const before = upstream.requests.length;
  const batch = await post(gateway, '/providers/fake-openai/batches', { input_file_id: 'file_1' });
  expect([batch.status, JSON.parse(batch.body.toString()).reason]).toEqual([402, 'cost_unknown']);
  expect(upstream.requests.length).toBe(before);
  const headers = { authorization: `Bearer ${gateway.key}` };
  const list = await fetch(`${gateway.url}/providers/fake-openai/batches`, { headers });
  expect(list.status).toBe(200);
  await list.text();
  expect(await totals()).toEqual({ spent: 0n, lost: 0n });
});

test('[$-1] a stream of a provider’s own API that only says that it failed costs nothing, one that says more does', async () => {
  const account = { type: 'openai', base_url: `${upstream.url}/v1`, api_key: 'sk-provider-canary' };
  const budget = {
    name: 'b0',
    tenant: 'acme',
    window: 'total',
    subject: 'organisation:acme',
    limit_usd: '9',
  };
  gateway = await startGateway({
    keepsRecords: false,
    shared: { budgets: [budget] },
    section: {
      providers: { openai: { ...account, allow_private: true } },
      models: { chat: { targets: [{ provider: 'openai', model: 'gpt-4.1' }] } },
    },
  });
  const failed = '{"type":"error","error":{"type":"overloaded_error"}}';
  const usage = { input_tokens: 10, output_tokens: 5, total_tokens: 15 };
  const ask = async (events: readonly (string | { event: string; data: string })[]) => {
    const before = (await totals()).spent ?? 0n;
    upstream.use(ssePlan(events));
    const body = { model: 'gpt-4.1', input: 'x', stream: true, max_output_tokens: 100 };
    const answer = await post(gateway, '/providers/openai/responses', body);
    expect([answer.status, answer.body.toString()]).toEqual([200, expect.stringContaining('"overloaded')]);
    return ((await totals()).spent ?? 0n) - before;
  };
  expect(await ask([failed])).toBe(0n);
  expect(await ask([failed, '[DONE]'])).toBe(0n);
  expect(await ask([{ event: 'error', data: '{"message":"overloaded"}' }])).toBe(0n);
  const more = await ask(['{"type":"response.output_text.delta","delta":"Hi"}', failed]);
  expect(more).toBeGreaterThan(0n);
  const metered = await ask([JSON.stringify({ type: 'error', error: { type: 'overloaded_error' }, usage })]);
  expect(metered).toBeGreaterThan(0n);
  expect(metered).toBeLessThan(more);
});

test('[$-2] with `unpriced: block` what a provider’s own API may cost is refused without a budget too; else its entry says that it has no cost', async () => {
  const section = sectionFor({ openai: upstream.url }, { unpriced: 'block' });
  gateway = await startGateway({ keepsRecords: false, section });
  const ask = () => post(gateway, '/providers/fake-openai/batches', { input_file_id: 'file_1' });
  const refused = await ask();
  expect([refused.status, JSON.parse(refused.body.toString()).reason]).toEqual([403, 'model_unpriced']);
  await gateway.close();
  upstream.use(jsonPlan({ id: 'batch_1', status: 'validating' }));
  gateway = await startGateway({ keepsRecords: false, section: sectionFor({ openai: upstream.url }) });
  expect((await ask()).status).toBe(200);
  await gateway.deps.ledger.flush();
  expect(await entries()).toEqual([
    expect.objectContaining({
      alias: 'providers/fake-openai',
      usage_source: 'missing',
      cost_nano_usd: null,
    }),
  ]);
});
