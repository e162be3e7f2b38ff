import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import type { FarEnd } from './support/http-far-end.ts';
import { startModel } from './support/model.ts';

let gateway: TestGateway | undefined;
let deps: TestDeps | undefined;
let model: FarEnd | undefined;
afterEach(async () => {
  await gateway?.close();
  await deps?.close();
  await model?.close();
});

const flow = definitionOf([
  { ask: { call: 'agent', with: { agent: 'helper', model: 'demo', input: 'Say something.' } } },
]);

async function start(costUsd: string | undefined, budgets: object[] = []) {
  const envelopes: string[] = [];
  model = await startModel((_body, _turn, { headers }) => {
    envelopes.push(String(headers['x-strata-envelope']));
    return { say: 'Something.' };
  });
  deps = await createTestDeps({ name: 'agent-gateway', config: { budgets } });
  const limits = costUsd === undefined ? {} : { cost_usd: costUsd };
  gateway = await startGateway({ deps, config: { ai_gateway: model.url, limits } });
  const run = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition: flow, input: {} } });
  return { run, envelopes, deps };
}

const claimsOf = (token: string | undefined) =>
  JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

test('[$-1] every call of a run names the budget of the run, which is reserved from whoever started it', async () => {
  const team = { name: 'team', subject: 'team:default', limit_usd: '10', window: 'total' };
  const { run, envelopes, deps: stores } = await start('2.5', [team]);
  expect(run.body, JSON.stringify(run.body)).toMatchObject({ status: 'completed' });
  expect(JSON.stringify(claimsOf(envelopes[0]))).toContain(`"run:${run.body.id}"`);
  expect(await stores.budgets.store.totals(`run:${run.body.id}`)).toMatchObject({
    limitNanoUsd: 2_500_000_000n,
  });
  expect(await stores.budgets.store.totals('config:team')).toMatchObject({ openNanoUsd: 2_500_000_000n });
});

test('[$-1] a run whose starter has not so much left calls nobody', async () => {
  const team = { name: 'team', subject: 'team:default', limit_usd: '1', window: 'total' };
  const { run, envelopes } = await start('2.5', [team]);
  expect(run.body).toMatchObject({
    status: 'paused',
    pause: { error: { budget: { subject: 'team:default', needed_nano_usd: '2500000000' } } },
  });
  expect(envelopes).toEqual([]);
});

test('without a limit a run spends from the budgets of whoever started it', async () => {
  const { run, envelopes, deps: stores } = await start(undefined);
  expect(run.body).toMatchObject({ status: 'completed' });
  expect(claimsOf(envelopes[0])).not.toHaveProperty('grant');
  expect(await stores.budgets.store.openRuns({ after: '', limit: 10 })).toEqual([]);
});

test('[$-1] a run that another waits for spends from the budget of that one', async () => {
  const { envelopes, deps: stores } = await start('2.5');
  const child = { ...flow, document: { ...flow.document, name: 'child' } };
  await gateway?.call('PUT', '/v1/workflows/test/child/1.0.0', { body: child });
  const parent = definitionOf([
    { delegate: { run: { workflow: { namespace: 'test', name: 'child', version: '1.0.0', input: {} } } } },
  ]);
  const run = await gateway?.call('POST', '/v1/runs?wait=20', { body: { definition: parent, input: {} } });
  expect(run?.body, JSON.stringify(run?.body)).toMatchObject({ status: 'completed' });
  expect(JSON.stringify(claimsOf(envelopes[1]))).toContain(`"run:${run?.body.id}"`);
  expect(await stores.budgets.store.openRuns({ after: '', limit: 10 })).toHaveLength(2);
});

test('[$-1] a run that is taken up again after its budget was closed has what it left', async () => {
  const { run, envelopes, deps: stores } = await start('2.5');
  const { id } = run.body;
  const { budgets } = stores;
  await budgets.closeRun(`run:${id}`);
  await gateway?.close();
  // Another process takes it up: it has never heard of the budget.
  gateway = await startGateway({
    deps: stores,
    config: { ai_gateway: model?.url, limits: { cost_usd: '2.5' } },
  });
  await gateway.call('POST', `/v1/runs/${id}:rewind`, { body: { task: '/do/0/ask' } });
  const status = async () => (await gateway?.call('GET', `/v1/runs/${id}`))?.body.status;
  await expect.poll(status, { timeout: 20_000 }).toBe('completed');
  expect(JSON.stringify(claimsOf(envelopes[1]))).toContain(`"run:${id}~2"`);
  expect(await budgets.store.totals(`run:${id}~2`)).toMatchObject({ limitNanoUsd: 2_500_000_000n });
});

test('[$-1] a run that is moved, once and again, has of its budget what it and the runs that it waits for had left', async () => {
  const { deps: stores } = await start('1');
  const ask = (name: string) => ({
    [name]: { call: 'agent', with: { agent: 'helper', model: 'demo', input: 'Say something.' } },
  });
  const hear = (name: string) => ({ [name]: { listen: { to: { one: { with: { type: name } } } } } });
  const { document, ...rest } = definitionOf([ask('a'), hear('one'), ask('b'), hear('two'), ask('c')]);
  const child = { ...rest, document: { ...document, name: 'asker' } };
  await gateway?.call('PUT', '/v1/workflows/test/asker/1.0.0', { body: child });
  const delegate = { run: { workflow: { namespace: 'test', name: 'asker', version: '1.0.0', input: {} } } };
  const definition = definitionOf([ask('before'), { delegate }, ask('after')]);
  const body = { definition, input: {}, limits: { cost_usd: '0.00001' } };
  const created = await gateway?.call('POST', '/v1/runs', { body });
  expect(created?.status, JSON.stringify(created?.body)).toBe(202);
  let id: string = created?.body.id;
  const childOf = async () => {
    const { runs } = (await gateway?.call('GET', '/v1/runs?limit=100'))?.body ?? {};
    return runs.find((run: { id: string; status: string }) => run.status === 'waiting' && run.id !== id)?.id;
  };
  for (const name of ['one', 'two']) {
    await expect.poll(childOf, { timeout: 20_000 }).toBeDefined();
    const { body: bundle } = (await gateway?.call('POST', `/v1/runs/${id}:export`)) ?? {};
    expect(bundle.runs).toHaveLength(2);
    id = (await gateway?.call('POST', '/v1/runs:import', { body: bundle }))?.body.id;
    await expect.poll(childOf, { timeout: 20_000 }).toBeDefined();
    await gateway?.call('POST', `/v1/runs/${await childOf()}/signals/${name}`, { body: {} });
    const limitNanoUsd = name === 'one' ? 8000n : 7000n;
    await expect
      .poll(() => stores.budgets.store.totals(`run:${id}`), { timeout: 20_000 })
      .toMatchObject({ limitNanoUsd });
  }
  const status = async () => (await gateway?.call('GET', `/v1/runs/${id}`))?.body.status;
  await expect.poll(status, { timeout: 20_000 }).toBe('completed');
});
