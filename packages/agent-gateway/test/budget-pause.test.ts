import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { startFarEnd } from './support/http-far-end.ts';
import { startModel } from './support/model.ts';

/** What a run does when a budget has not enough for its next call. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const shortage = {
  budget_subject: 'team:support',
  needed_nano_usd: '5000',
  available_nano_usd: '1200',
  resets_at: '2027-01-01T00:00:00.000Z',
};
const refused = { status: 402, code: 'budget_exceeded', details: shortage };
const ask = (input: string) => ({
  call: 'agent',
  with: { agent: 'helper', model: 'demo', input },
});
const flow = definitionOf([{ first: ask('one') }, { second: ask('two') }, { third: ask('three') }]);

async function start(config: object, deps?: TestDeps): Promise<TestGateway> {
  const gateway = await startGateway({ config: { ...config }, ...(deps && { deps }) });
  opened.push(gateway);
  return gateway;
}

const submit = (gateway: TestGateway, definition: unknown) =>
  gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input: {} } });

test('[$-1] [AG-1] a run whose budget has not enough is paused, says which one and what it needs, and goes on with the very call', async () => {
  let isShort = true;
  const model = await startModel((_body, turn) =>
    turn === 2 && isShort ? refused : { say: `answer ${turn}` },
  );
  opened.push(model);
  const gateway = await start({ ai_gateway: model.url });
  const paused = await submit(gateway, flow);
  expect(paused.status).toBe(202);
  expect(paused.body).toMatchObject({
    status: 'paused',
    pause: {
      by: 'engine',
      error: {
        status: 402,
        reason: 'budget_exceeded',
        instance: '/do/1/second',
        budget: {
          subject: 'team:support',
          needed_nano_usd: '5000',
          available_nano_usd: '1200',
          resets_at: '2027-01-01T00:00:00.000Z',
        },
      },
    },
  });
  const timeline = await gateway.call('GET', `/v1/runs/${paused.body.id}/timeline`);
  expect(JSON.stringify(timeline.body)).toContain('"error":"budget_exceeded"');
  isShort = false;
  await gateway.call('POST', `/v1/runs/${paused.body.id}:resume`, { body: {} });
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${paused.body.id}`)).body.status, {
      timeout: 20_000,
    })
    .toBe('completed');
  const keys = model.received.map(({ headers }) => String(headers['idempotency-key']));
  expect(keys).toHaveLength(4);
  expect(keys[1]).toBe(keys[2]); // asked for again, as the same call
  expect(new Set(keys).size).toBe(3);
});

test('[$-1] a resumed run for which nothing was done is paused again, and a cancelled one ends', async () => {
  const model = await startModel(() => refused);
  opened.push(model);
  const gateway = await start({ ai_gateway: model.url });
  const { body } = await submit(gateway, flow);
  const again = await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: {} });
  expect(again.body.status).toMatch(/paused|running|pending/);
  await expect.poll(() => model.received.length, { timeout: 20_000 }).toBe(2);
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('paused');
  await gateway.call('POST', `/v1/runs/${body.id}:cancel`, { body: {} });
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('cancelled');
});

test('[$-1] a refusal that was on its way when the run was resumed does not pause it again', async () => {
  const late = Promise.withResolvers<void>();
  const model = await startModel(async (_body, turn) => {
    if (turn === 2) await late.promise;
    return turn <= 2 ? refused : { say: 'done' };
  });
  opened.push(model);
  const gateway = await start({ ai_gateway: model.url });
  const both = definitionOf([{ all: { fork: { branches: [{ one: ask('one') }, { two: ask('two') }] } } }]);
  const { body } = await submit(gateway, both);
  expect(body.status).toBe('paused');
  await expect.poll(() => model.received.length, { timeout: 20_000 }).toBe(2);
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: {} });
  await expect.poll(() => model.received.length, { timeout: 20_000 }).toBe(3);
  late.resolve();
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('completed');
  expect(model.received).toHaveLength(4);
});

test('[$-1] the time of a task stands still while its run waits for money', async () => {
  let isShort = true;
  const model = await startModel(() => (isShort ? refused : { say: 'done' }));
  opened.push(model);
  const deps = await createTestDeps({ name: 'agent-gateway' });
  opened.push(deps);
  const gateway = await start({ ai_gateway: model.url }, deps);
  const { body } = await submit(
    gateway,
    definitionOf([{ ask: { ...ask('one'), timeout: { after: { seconds: 3 } } } }]),
  );
  expect(body.status).toBe('paused');
  const pausedAtMs = Date.parse(body.pause.at);
  // The task's own three seconds pass while nobody works on it.
  await expect.poll(() => Date.now() - pausedAtMs, { timeout: 20_000 }).toBeGreaterThan(3200);
  isShort = false;
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: {} });
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('completed');
});

test('[$-1] a tool that costs more than is left pauses the run too, and is no mistake of the model', async () => {
  let isShort = true;
  const calls: string[] = [];
  const tools = await startFarEnd(({ method, body }, response) => {
    if (method === 'DELETE') return void response.writeHead(200).end();
    const {
      id,
      method: rpc,
      params,
    } = JSON.parse(body) as { id?: number; method: string; params?: { name?: string } };
    const send = (rest: object) => {
      response.setHeader('content-type', 'application/json');
      response.setHeader('mcp-session-id', 'one');
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...rest }));
    };
    if (id === undefined) return void response.writeHead(202).end();
    if (rpc === 'initialize')
      return send({ result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} } });
    calls.push(String(params?.name));
    if (!isShort) return send({ result: { content: [{ type: 'text', text: 'paid' }] } });
    const data = { reason: 'budget_exceeded', retryable: false, ...shortage, budget_subject: 'tool:bank__*' };
    return send({
      error: { code: -32000, message: 'The budget of tool:bank__* has not enough left.', data },
    });
  });
  opened.push(tools);
  const gateway = await start({ mcp_gateway: `${tools.url}/mcp` });
  const pay = {
    call: 'mcp',
    with: { method: 'tools/call', parameters: { name: 'bank__pay', arguments: {} } },
  };
  const { body } = await submit(gateway, definitionOf([{ pay }]));
  expect(body).toMatchObject({ status: 'paused', pause: { error: { budget: { subject: 'tool:bank__*' } } } });
  isShort = false;
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: {} });
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('completed');
  expect(calls).toEqual(['bank__pay', 'bank__pay']);
});

test('[$-1] [AG-1] runs that wait for runs are paused with them, say why, and take them along when they go on', async () => {
  let isShort = true;
  const model = await startModel(() => (isShort ? refused : { say: 'done' }));
  opened.push(model);
  const gateway = await start({ ai_gateway: model.url, limits: { cost_usd: '3' } });
  const put = (name: string, tasks: unknown) =>
    gateway.call('PUT', `/v1/workflows/test/${name}/1.0.0`, {
      body: definitionOf(tasks, { document: { dsl: '1.0.3', namespace: 'test', name, version: '1.0.0' } }),
    });
  const run = (name: string) => ({
    run: { workflow: { namespace: 'test', name, version: '1.0.0', input: {} } },
  });
  await put('leaf', [{ ask: ask('one') }]);
  await put('middle', [{ down: run('leaf') }]);
  const several = {
    all: {
      for: { each: 'item', in: '${ [range(3)] }' },
      metadata: { gateway: { concurrency: 3 } },
      do: [{ down: run('middle') }],
    },
  };
  const { body } = await submit(gateway, definitionOf([several]));
  expect(body).toMatchObject({
    status: 'paused',
    pause: { by: 'engine', error: { reason: 'budget_exceeded', budget: { subject: 'team:support' } } },
  });
  const statuses = async () =>
    (await gateway.call('GET', '/v1/runs?limit=200')).body.runs.map(
      (each: { status: string }) => each.status,
    );
  await expect.poll(statuses, { timeout: 20_000 }).toEqual(Array(7).fill('paused'));
  isShort = false;
  const key = await gateway.deps.createKey({ roles: ['operator'] });
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: { limits: { cost_usd: '4' } }, key });
  await expect.poll(statuses, { timeout: 20_000 }).toEqual(Array(7).fill('completed'));
  expect(model.received).toHaveLength(6); // each of the three was refused once and paid once
  expect(await gateway.deps.budgets.store.totals(`run:${body.id}`)).toMatchObject({
    limitNanoUsd: 4_000_000_000n,
  });
  expect(await gateway.deps.budgets.store.openRuns({ after: '', limit: 10 })).toHaveLength(1);
});

test('[AG-1] runs that wait for money are moved as they stand: the first takes the others along where it goes on', async () => {
  let isShort = true;
  const model = await startModel(() => (isShort ? refused : { say: 'done' }));
  opened.push(model);
  const gateway = await start({ ai_gateway: model.url });
  const document = { dsl: '1.0.3', namespace: 'test', name: 'leaf', version: '1.0.0' };
  await gateway.call('PUT', '/v1/workflows/test/leaf/1.0.0', {
    body: definitionOf([{ ask: ask('one') }], { document }),
  });
  const leaf = { namespace: 'test', name: 'leaf', version: '1.0.0', input: {} };
  const { body } = await submit(gateway, definitionOf([{ down: { run: { workflow: leaf } } }]));
  expect(body.status).toBe('paused');
  const { body: bundle } = await gateway.call('POST', `/v1/runs/${body.id}:export`);
  const { body: taken } = await gateway.call('POST', '/v1/runs:import', { body: bundle });
  const statusOf = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body.status;
  await expect.poll(() => statusOf(taken.id), { timeout: 20_000 }).toBe('paused');
  isShort = false;
  await gateway.call('POST', `/v1/runs/${taken.id}:resume`, { body: {} });
  await expect.poll(() => statusOf(taken.id), { timeout: 20_000 }).toBe('completed');
});

test('[$-1] only who may decide about money lets a run spend more, and never more than is left above it', async () => {
  let isShort = true;
  const model = await startModel(() => (isShort ? refused : { say: 'done' }));
  opened.push(model);
  const team = { name: 'team', subject: 'team:default', limit_usd: '2', window: 'total' };
  const deps = await createTestDeps({ name: 'agent-gateway', config: { budgets: [team] } });
  opened.push(deps);
  const gateway = await start({ ai_gateway: model.url, limits: { cost_usd: '3' } }, deps);
  const { body } = await submit(
    gateway,
    definitionOf([{ ask: ask('one') }], { document: documentWith('0.5') }),
  );
  expect(body.status).toBe('paused');
  const limit = async () => (await deps.budgets.store.totals(`run:${body.id}`))?.limitNanoUsd;
  expect(await limit()).toBe(500_000_000n);
  const resume = (cost_usd: string, key?: string) =>
    gateway.call('POST', `/v1/runs/${body.id}:resume`, {
      body: { limits: { cost_usd } },
      ...(key && { key }),
    });
  expect(await resume('1')).toMatchObject({ status: 403, body: { reason: 'role_required' } });
  expect(await resume('1', await deps.createKey({ roles: ['auditor'] }))).toMatchObject({ status: 403 });
  const operator = await deps.createKey({ roles: ['operator'] });
  expect(await resume('0.5', operator)).toMatchObject({
    status: 400,
    body: { reason: 'run_limit_not_raised' },
  });
  expect(await resume('1.5', operator)).toMatchObject({ status: 202 });
  await expect.poll(limit, { timeout: 20_000 }).toBe(1_500_000_000n);
  expect(await deps.budgets.store.totals('config:team')).toMatchObject({ openNanoUsd: 1_500_000_000n });
  const pause = async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.pause;
  await expect
    .poll(pause, { timeout: 20_000 })
    .toMatchObject({ error: { budget: { subject: 'team:support' } } });
  isShort = false;
  await resume('2.5', operator); // more than its team has
  await expect
    .poll(pause, { timeout: 20_000 })
    .toMatchObject({ error: { budget: { subject: 'team:default', needed_nano_usd: '2500000000' } } });
  expect(await limit()).toBe(1_500_000_000n);
  await deps.budgets.store.update('config:team', { limitNanoUsd: 3_000_000_000n });
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: {} });
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
    .toBe('completed');
  expect(await limit()).toBe(2_500_000_000n);
});

const documentWith = (costUsd: string) => ({
  dsl: '1.0.3',
  namespace: 'test',
  name: 'flow',
  version: '1.0.0',
  metadata: { gateway: { limits: { costUsd } } },
});
