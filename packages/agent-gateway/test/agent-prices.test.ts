import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { createAgentFeeEffect } from '../src/agents/agent-fee-effect.ts';
import type { CallContext } from '../src/domain/effect.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import type { FarEnd } from './support/http-far-end.ts';
import { startModel } from './support/model.ts';

/** Agents that cost something of their own, beside what their models and tools do. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const modelCost = 1000; // of each answer of the fake ai-gateway
const fee = 250_000_000;
const ask = (agent: string) => ({ call: 'agent', with: { agent, model: 'demo', input: 'Hello' } });

async function start(limitUsd: string): Promise<{ gateway: TestGateway; deps: TestDeps; model: FarEnd }> {
  const team = { name: 'team', subject: 'team:default', limit_usd: limitUsd, window: 'total' };
  const deps = await createTestDeps({ name: 'agent-gateway', config: { budgets: [team] } });
  const model = await startModel(() => ({ say: 'done' }));
  opened.push(deps, model);
  const prices = { 'test/dear': '0.25', 'other/*': '1' };
  const gateway = await startGateway({ deps, config: { ai_gateway: model.url, agent_prices_usd: prices } });
  opened.push(gateway);
  return { gateway, deps, model };
}

const submit = (gateway: TestGateway, tasks: unknown) =>
  gateway.call('POST', '/v1/runs?wait=20', { body: { definition: definitionOf(tasks), input: {} } });

const entriesOf = ({ sql }: TestDeps) =>
  sql.db.selectFrom('usage_ledger').selectAll().orderBy('id').execute();

test('[$-1] [$-3] the price of an agent is set aside, booked once with who ran it, and part of what the run cost', async () => {
  const { gateway, deps, model } = await start('1');
  const run = await submit(gateway, [{ one: ask('dear') }, { two: ask('cheap') }, { three: ask('dear') }]);
  expect(run.body, JSON.stringify(run.body)).toMatchObject({
    status: 'completed',
    cost: { nano_usd: String(2 * fee + 3 * modelCost) },
  });
  expect(model.received).toHaveLength(3);
  const entries = await entriesOf(deps);
  expect(entries).toHaveLength(2);
  for (const entry of entries) {
    expect(entry).toMatchObject({
      gateway: 'agent-gateway',
      agent: 'agent:dear',
      alias: 'test/dear',
      principal: 'tester',
      run_id: run.body.id,
      cost_nano_usd: fee,
      price_version: 'config:test/dear=0.25',
    });
  }
  expect(await deps.budgets.store.totals('config:team')).toMatchObject({ spentNanoUsd: BigInt(2 * fee) });
  const usage = await gateway.call('GET', '/admin/v1/usage?by=agent&from=2020-01-01T00:00:00Z', {
    key: deps.adminKey,
  });
  expect(JSON.stringify(usage.body)).toContain('agent:dear');
});

test('[$-1] an agent that costs more than is left does nothing, and its run is paused', async () => {
  const { gateway, deps, model } = await start('0.3');
  const run = await submit(gateway, [{ one: ask('dear') }, { two: ask('dear') }]);
  expect(run.body).toMatchObject({
    status: 'paused',
    pause: {
      error: { instance: '/do/1/two', budget: { subject: 'team:default', needed_nano_usd: String(fee) } },
    },
  });
  expect(model.received).toHaveLength(1);
  await deps.budgets.store.update('config:team', { limitNanoUsd: 1_000_000_000n });
  // A refusal of the store stands for some milliseconds; who resumes sooner is paused again.
  const status = async () => {
    await gateway.call('POST', `/v1/runs/${run.body.id}:resume`, { body: {} });
    return (await gateway.call('GET', `/v1/runs/${run.body.id}`)).body.status;
  };
  await expect.poll(status, { timeout: 20_000 }).toBe('completed');
  expect(await entriesOf(deps)).toHaveLength(2);
});

test('[$-2] an agent is priced over the admin API, where the configuration names no price for it', async () => {
  const { gateway, deps } = await start('1');
  const key = deps.adminKey;
  const set = (vendor: string, model: string, prices: object) =>
    gateway.call('POST', '/admin/v1/prices', { key, body: { vendor, model, prices } });
  const made = await set('agent:test', 'ch*', { tool_units: '20000' });
  expect(made.body).toMatchObject({ id: 'agent:test/ch*', source: 'admin' });
  await set('agent:test', 'dear', { tool_units: '1' });
  const refused = await set('agent:test', 'cheap', { input: '1' });
  expect(refused.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
  await expect.poll(() => deps.priceOverrides.uses('agent').length, { timeout: 20_000 }).toBe(2);
  const run = await submit(gateway, [{ one: ask('dear') }, { two: ask('cheap') }, { three: ask('odd') }]);
  expect(run.body).toMatchObject({ status: 'completed' });
  const booked = (await entriesOf(deps)).map(entry => [
    entry.alias,
    entry.cost_nano_usd,
    entry.price_version,
  ]);
  expect(booked.sort()).toEqual([
    ['test/cheap', 20_000_000, made.body.version],
    ['test/dear', fee, 'config:test/dear=0.25'],
  ]);
});

test('[$-3] a fee that was paid by a worker which died is not paid again by the next', async () => {
  const { deps } = await start('1');
  const effect = createAgentFeeEffect(deps);
  const payer = await deps.authenticate({ authorization: `Bearer ${deps.userKey}` });
  // Only what the effect asks of it.
  const context = {
    runId: 'run_1',
    taskPath: '/do/0/one',
    idempotencyKey: 'run_1-key',
    payer: async () => payer,
  } as unknown as CallContext;
  const call = { agent: 'test/dear', nanoUsd: String(fee), version: 'one' };
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(await effect.perform(call, context)).toMatchObject({ costNanoUsd: BigInt(fee) });
  }
  expect(await entriesOf(deps)).toHaveLength(1);
  expect(await deps.budgets.store.totals('config:team')).toMatchObject({ spentNanoUsd: BigInt(fee) });
});
