import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;
let clock: ManualClock;
const good = jsonPlan(chatCompletion);
const broken = jsonPlan({ error: { message: 'x' } }, { status: 500 });

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: good });
});
afterAll(() => upstream.close());
beforeEach(async () => {
  const more = { breaker: { failures: 4, open_ms: 300 }, attempts: { max_rounds: 1 } };
  clock = createManualClock();
  gateway = await startGateway({ section: sectionFor({ openai: upstream.url }, more), clock });
});
afterEach(() => gateway.close());

const ask = () => post(gateway, '/v1/chat/completions', chatRequest());

async function requestsDuring(plan: Plan, times: number): Promise<number> {
  upstream.use(plan);
  const before = upstream.requests.length;
  for (let index = 0; index < times; index++) await ask();
  return upstream.requests.length - before;
}

test('[F36] [F42] a target that keeps failing is left alone; then a probe brings it back', async () => {
  expect(await requestsDuring(broken, 10)).toBe(4);
  const times: number[] = [];
  for (let index = 0; index < 20; index++) {
    const startedAtMs = performance.now();
    await ask();
    times.push(performance.now() - startedAtMs);
  }
  expect(Math.min(...times)).toBeLessThan(50);
  const refused = await ask();
  expect(refused.status).toBe(503);
  expect(JSON.parse(refused.body.toString()).error.code).toBe('target_resting');
  expect(refused.headers['retry-after']).toBe('1');
  await clock.advance(300); // the time for which the circuit stays open
  expect(await requestsDuring(good, 3)).toBe(3);
});

test('a probe that fails keeps the circuit open', async () => {
  expect(await requestsDuring(broken, 5)).toBe(4);
  await clock.advance(300);
  expect(await requestsDuring(broken, 5)).toBe(1);
});

test('[F36] of many that come at once when its time is over, exactly one probes', async () => {
  expect(await requestsDuring(broken, 5)).toBe(4);
  await clock.advance(300);
  const goOn = Promise.withResolvers<void>();
  upstream.use([{ op: 'waitFor', until: goOn.promise }, ...good]);
  const before = upstream.requests.length;
  const refused: number[] = [];
  const othersAnswered = Promise.withResolvers<void>();
  const asked = Array.from({ length: 20 }, async () => {
    const { status } = await ask();
    if (status === 503) refused.push(status);
    if (refused.length === 19) othersAnswered.resolve();
    return status;
  });
  await othersAnswered.promise;
  goOn.resolve();
  const statuses = await Promise.all(asked);
  expect(statuses.filter(status => status === 200)).toHaveLength(1);
  expect(upstream.requests.length - before).toBe(1);
  expect((await ask()).status).toBe(200);
});

test("a caller's own faults and limits of rate never open the circuit", async () => {
  const fault = jsonPlan({ error: { message: 'x', type: 'invalid_request_error' } }, { status: 400 });
  expect(await requestsDuring(fault, 10)).toBe(10);
  const limited = jsonPlan({ error: { message: 'x', code: 'rate_limit_exceeded' } }, { status: 429 });
  expect(await requestsDuring(limited, 10)).toBe(10);
  expect((await requestsDuring(good, 1)) === 1).toBe(true);
});

test('[F36] in a full outage retries stay within their budget', async () => {
  await gateway.close();
  const more = { breaker: { failures: 1000 }, attempts: { max_rounds: 3, max_wait_ms: 50 } };
  gateway = await startGateway({ section: sectionFor({ openai: upstream.url }, more) });
  upstream.use(broken);
  const before = upstream.requests.length;
  await Promise.all(Array.from({ length: 200 }, ask));
  const sent = upstream.requests.length - before;
  expect(sent).toBeGreaterThanOrEqual(200);
  expect(sent).toBeLessThanOrEqual(200 * 1.6); // a fifth of those in flight at a time, in two rounds
});

test.each([
  [0.1, 600],
  [0.5, 1000],
  [1, 400],
])(
  '[F36] when a share of %f fails for long, no more than 1.2 times of what is offered is asked',
  async (share, offered) => {
    await gateway.close();
    const more = { breaker: { failures: 1000 }, attempts: { max_rounds: 3, max_wait_ms: 1 } };
    gateway = await startGateway({ section: sectionFor({ openai: upstream.url }, more) });
    let turn = 0;
    upstream.use(() => (++turn % 10 < share * 10 ? broken : good));
    const before = upstream.requests.length;
    for (let sent = 0; sent < offered; sent += 20) await Promise.all(Array.from({ length: 20 }, ask));
    const asked = upstream.requests.length - before;
    const beforeQuotaEnds = 60; // a full one is good for some more
    expect(asked).toBeLessThanOrEqual(offered * 1.2 + beforeQuotaEnds);
    if (share < 1) expect(asked).toBeGreaterThan(offered);
  },
);

test('[F36] the circuit of one key of a pool leaves the others alone', async () => {
  await gateway.close();
  const { providers, models } = sectionFor({ openai: upstream.url }) as {
    providers: { 'fake-openai': { api_key: unknown } };
    models: object;
  };
  const pool = { ...providers['fake-openai'], api_key: ['sk-bad', 'sk-good'] };
  const more = { breaker: { failures: 2, open_ms: 60_000 }, attempts: { max_rounds: 1 } };
  gateway = await startGateway({ section: { providers: { 'fake-openai': pool }, models, ...more }, clock });
  upstream.use(request => (request.headers.authorization === 'Bearer sk-bad' ? broken : good));
  const statuses: number[] = [];
  for (let index = 0; index < 12; index++) statuses.push((await ask()).status);
  expect(statuses.filter(status => status !== 200)).toHaveLength(2); // those that opened it
  expect(statuses.slice(4)).toEqual(new Array(8).fill(200));
});

test('[F36] open circuits cost no attempt: the last of many targets still answers', async () => {
  await gateway.close();
  const { providers } = sectionFor({ openai: upstream.url }) as { providers: object };
  const names = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'];
  const targets = names.map(model => ({ provider: 'fake-openai', model }));
  gateway = await startGateway({
    section: {
      ...{ providers, models: { chat: { targets } } },
      ...{ breaker: { failures: 1, open_ms: 60_000 }, attempts: { max_rounds: 1, max_attempts: 2 } },
    },
    clock,
  });
  upstream.use(request => ((request.json() as { model: string }).model === 'm6' ? good : broken));
  const statuses: number[] = [];
  for (let index = 0; index < 4; index++) statuses.push((await ask()).status);
  expect(statuses).toEqual([502, 502, 200, 200]);
  expect(await requestsDuring(good, 3)).toBe(3);
});

test.each([
  ['too dear', { prices: { input: '1000', output: '1000' } }, ['0.01'], {}],
  ['without a price', {}, [], { unpriced: 'block' }],
])(
  'targets that are %s cost no attempt: the last of many still answers',
  async (_why, dear, limits, more) => {
    await gateway.close();
    const { providers } = sectionFor({ openai: upstream.url }) as { providers: object };
    const passedBy = ['x1', 'x2', 'x3', 'x4'].map(model => ({ provider: 'fake-openai', model, ...dear }));
    const cheap = { provider: 'fake-openai', model: 'x5', prices: { input: '0.01', output: '0.01' } };
    gateway = await startGateway({
      shared: {
        budgets: limits.map(limit_usd => ({ name: 'all', tenant: 'acme', subject: 'model:chat', limit_usd })),
      },
      section: {
        ...{ providers, models: { chat: { targets: [...passedBy, cheap] } } },
        ...{ attempts: { max_rounds: 1, max_attempts: 1 }, ...more },
      },
      clock,
    });
    upstream.use(good);
    const before = upstream.requests.length;
    const answer = await post(gateway, '/v1/chat/completions', chatRequest({ max_tokens: 100 }));
    expect(answer.status, answer.body.toString()).toBe(200);
    expect(upstream.requests.length).toBe(before + 1);
  },
);
