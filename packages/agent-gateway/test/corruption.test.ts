import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

let postgres: TestPostgres;
let farEnd: FarEnd;
beforeAll(async () => {
  postgres = await openTestPostgres();
  farEnd = await startFarEnd((_request, response) => void response.end('{}'));
});
afterAll(async () => {
  await farEnd.close();
  await postgres.close();
});

async function open(store: string) {
  if (store === 'SQLite') {
    const deps = await createTestDeps({ name: 'agent-gateway' });
    const damage = async (text: string) => {
      const database = new DatabaseSync(join(deps.dataDir, 'journal.sqlite'), { timeout: 5000 });
      database.exec(text);
      database.close();
    };
    return { deps, damage };
  }
  const url = await postgres.server.createDatabase();
  const config = { store: { url, acquire_timeout_ms: 5000 } };
  const damage = async (text: string) => {
    const client = new pg.Client({ connectionString: url, options: '-c search_path=strata_agent' });
    await client.connect();
    await client.query(text);
    await client.end();
  };
  return { deps: await createTestDeps({ name: 'agent-gateway', config }), damage };
}

test.each(['SQLite', 'PostgreSQL'])(
  '[F90] a run whose journal is damaged is parked, does nothing, and goes on when it is mended (%s)',
  async store => {
    const { deps, damage } = await open(store);
    const gateway = await startGateway({ deps });
    const path = `/${store}`;
    const tasks = [
      { first: { set: { amount: 100 } } },
      { hear: { listen: { to: { one: { with: { type: 'go' } } } } } },
      { pay: { call: 'http', with: { method: 'post', endpoint: farEnd.url + path } } },
    ];
    const { body: run } = await gateway.call('POST', '/v1/runs', {
      body: { definition: definitionOf(tasks) },
    });
    const show = async () => (await gateway.call('GET', `/v1/runs/${run.id}`)).body;
    await expect.poll(async () => (await show()).status, { timeout: 20_000 }).toBe('waiting');
    await damage("update journal set payload = replace(payload, '100', '900') where kind = 'task-completed'");
    const signal = await gateway.call('POST', `/v1/runs/${run.id}/signals/go`, { body: { data: {} } });
    expect(signal.status).toBe(202);
    await expect.poll(async () => (await show()).status, { timeout: 20_000 }).toBe('in_doubt');
    expect(await show()).toMatchObject({ problem: 'journal_corrupt' });
    expect((await gateway.call('GET', `/v1/runs/${run.id}/timeline`)).status).toBe(500);
    expect(farEnd.received.filter(each => each.path === path)).toEqual([]);

    await damage("update journal set payload = replace(payload, '900', '100') where kind = 'task-completed'");
    await gateway.call('POST', `/v1/runs/${run.id}:resume`);
    await expect.poll(async () => (await show()).status, { timeout: 20_000 }).toBe('completed');
    expect(farEnd.received.filter(each => each.path === path)).toHaveLength(1);
    await gateway.close();
    await deps.close();
  },
);

test.each(['SQLite', 'PostgreSQL'])(
  '[F80] [F90] a run whose definition is another than when it began is parked, does nothing, and goes on when it is mended (%s)',
  async store => {
    const { deps, damage } = await open(store);
    const first = await startGateway({ deps });
    const path = `/${store}-steps`;
    const hear = { hear: { listen: { to: { one: { with: { type: 'go' } } } } } };
    const pay = { pay: { call: 'http', with: { method: 'post', endpoint: farEnd.url + path } } };
    const submit = async (tasks: unknown, name: string) => {
      const definition = definitionOf(tasks);
      definition.document.name = name;
      return (await first.call('POST', '/v1/runs', { body: { definition } })).body.id as string;
    };
    const id = await submit([hear, pay], 'changed');
    const other = await submit([hear], 'as-it-was');
    const show = async (gateway: TestGateway, run: string) =>
      (await gateway.call('GET', `/v1/runs/${run}`)).body;
    for (const run of [id, other])
      await expect.poll(async () => (await show(first, run)).status, { timeout: 20_000 }).toBe('waiting');
    await first.close();
    const turn = (from: string, to: string) =>
      `update definitions set document = replace(document, '"${from}"', '"${to}"') where document like '%"changed"%'`;
    await damage(turn('post', 'put'));

    const second = await startGateway({ deps });
    const signal = (run: string) => second.call('POST', `/v1/runs/${run}/signals/go`, { body: { data: {} } });
    for (const run of [id, other]) expect((await signal(run)).status).toBe(202);
    await expect.poll(async () => (await show(second, other)).status, { timeout: 20_000 }).toBe('completed');
    await expect.poll(async () => (await show(second, id)).status, { timeout: 20_000 }).toBe('in_doubt');
    expect(await show(second, id)).toMatchObject({ problem: 'journal_corrupt' });
    expect(farEnd.received.filter(each => each.path === path)).toEqual([]);

    await damage(turn('put', 'post'));
    await second.call('POST', `/v1/runs/${id}:resume`);
    await expect.poll(async () => (await show(second, id)).status, { timeout: 20_000 }).toBe('completed');
    expect(farEnd.received.filter(each => each.path === path)).toHaveLength(1);
    await second.close();
    await deps.close();
  },
);

test.each(['SQLite', 'PostgreSQL'])(
  '[F80] a thread whose run cannot be read keeps what it had, and goes on (%s)',
  async store => {
    const { deps, damage } = await open(store);
    const gateway = await startGateway({ deps });
    const context = { notes: ['before'] };
    const { body: thread } = await gateway.call('POST', '/v1/threads', { body: { context } });
    const say = (said: string) => {
      const note = { set: { said }, export: { as: '${ { notes: [.said] } }' } };
      const body = { definition: definitionOf([{ note }]), thread: thread.id };
      return gateway.call('POST', '/v1/runs?wait=20', { body });
    };
    expect((await say('lost')).body.status).toBe('completed');
    await damage(
      "update journal set payload = replace(payload, 'lost', 'lies') where kind = 'task-completed'",
    );
    const show = async () => (await gateway.call('GET', `/v1/threads/${thread.id}`)).body;
    expect(await show()).toMatchObject({ status: 'idle', context });
    expect((await gateway.call('GET', '/v1/threads')).status).toBe(200);
    await say('after');
    expect(await show()).toMatchObject({ context: { notes: ['after'] } });
    await gateway.close();
    await deps.close();
  },
);
