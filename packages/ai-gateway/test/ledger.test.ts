import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion, chatCostNanoUsd } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
});
afterEach(() => gateway.close());
afterAll(() => upstream.close());

const start = async (shared: Record<string, unknown> = {}) => {
  gateway = await startGateway({
    keepsRecords: false,
    shared,
    section: sectionFor({ openai: upstream.url }),
  });
};

test('[$-3] every attempt is in the ledger, with who asked, what it cost and by which prices', async () => {
  await start();
  await post(gateway, '/v1/chat/completions', chatRequest());
  await gateway.deps.ledger.flush();
  const rows = await gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();
  expect(rows).toEqual([
    expect.objectContaining({
      gateway: 'ai-gateway',
      tenant: 'acme',
      principal: 'user:ada',
      alias: 'chat',
      provider: 'fake-openai',
      model: 'gpt-upstream',
      outcome: 'answered',
      usage_source: 'reported',
      cost_nano_usd: chatCostNanoUsd,
      price_version: expect.stringMatching(/^config\//),
    }),
  ]);
});

test('[$-3] when usage cannot be stored nothing is asked of an upstream, and it goes on when it can', async () => {
  await start({ ledger: { max_pending: 100, flush_ms: 10_000 } });
  const { db } = gateway.deps.sql;
  await db.schema.alterTable('usage_ledger').renameTo('elsewhere').execute();
  const before = upstream.requests.length;
  for (let count = 0; count < 100; count++) await post(gateway, '/v1/chat/completions', chatRequest());
  const refused = await post(gateway, '/v1/chat/completions', chatRequest());
  expect(refused.status).toBe(503);
  expect(JSON.parse(refused.body.toString()).error.code).toBe('ledger_full');
  expect(upstream.requests.length - before).toBe(100);
  await db.schema.alterTable('elsewhere').renameTo('usage_ledger').execute();
  await gateway.deps.ledger.flush();
  expect((await post(gateway, '/v1/chat/completions', chatRequest())).status).toBe(200);
});

test('[I14] equal requests are asked of the upstream each for itself: nobody gets what another was told', async () => {
  await start();
  let answers = 0;
  upstream.use(() => jsonPlan({ ...chatCompletion, id: `answer-${++answers}` }));
  const before = upstream.requests.length;
  const other = await gateway.deps.createKey({ tenant: 'other' });
  const ids: string[] = [];
  for (const key of [gateway.key, other, gateway.key, other]) {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await post(gateway, '/v1/chat/completions', chatRequest(), headers);
    ids.push(JSON.parse(answer.body.toString()).id);
  }
  expect(ids).toEqual(['answer-1', 'answer-2', 'answer-3', 'answer-4']);
  expect(upstream.requests.length - before).toBe(4);
});
