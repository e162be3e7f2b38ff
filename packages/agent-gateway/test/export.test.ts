import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOfExport, type RunExport } from '../src/domain/run-export.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Live runs that are moved between stores of both kinds, and back. */

let postgres: TestPostgres;
let farEnd: FarEnd;
let held: (() => void) | undefined;
/** Paths that are answered by hand. */
const slow = new Set<string>();
const gateways: Record<string, TestGateway> = {};
beforeAll(async () => {
  postgres = await openTestPostgres();
  farEnd = await startFarEnd((request, response) => {
    const answer = () =>
      void response.setHeader('content-type', 'application/json').end(JSON.stringify({ seen: request.path }));
    if (slow.has(request.path)) held = answer;
    else answer();
  });
  const store = async () => ({
    url: await postgres.server.createDatabase(),
    acquire_timeout_ms: 5000,
  });
  gateways.SQLite = await startGateway({ deps: await createTestDeps({ name: 'agent-gateway' }) });
  gateways.PostgreSQL = await startGateway({
    deps: await createTestDeps({ name: 'agent-gateway', config: { store: await store() } }),
  });
});
afterAll(async () => {
  for (const gateway of Object.values(gateways)) {
    await gateway.close();
    await gateway.deps.close();
  }
  await farEnd.close();
  await postgres.close();
});

let lastPath = 0;
const hear = (type: string) => ({ listen: { to: { one: { with: { type } } } }, output: { as: '${ {} }' } });
const large = 'x'.repeat(50_000);

test('an export may be larger than other requests; one that would be taken in nowhere leaves the run where it is', async () => {
  const gateway = gateways.SQLite as TestGateway; // opened above
  const half = 'x'.repeat(900_000);
  const grow = { keep: { set: { half: '${ $workflow.input.half + ($item | tostring) }' } } };
  const definition = definitionOf([
    { grow: { for: { in: '[range(22)]' }, do: [grow] } },
    { hear: { listen: { to: { any: [] } } } },
  ]);
  const { body } = await gateway.call('POST', '/v1/runs', { body: { definition, input: { half } } });
  const statusAt = async (of: TestGateway, id: string) =>
    (await of.call('GET', `/v1/runs/${id}`)).body.status;
  await expect.poll(() => statusAt(gateway, body.id), { timeout: 60_000 }).toBe('waiting');
  const { body: bundle, status } = await gateway.call('POST', `/v1/runs/${body.id}:export`);
  expect(status, JSON.stringify(bundle).slice(0, 300)).toBe(200);
  expect(JSON.stringify(bundle).length).toBeGreaterThan(33 * 1024 ** 2);
  const taken = await gateway.call('POST', '/v1/runs:import', { body: bundle });
  expect(taken.status, JSON.stringify(taken.body).slice(0, 300)).toBe(201);
  const small = await startGateway({ deps: gateway.deps, config: { max_export_bytes: 1_000_000 } });
  try {
    const refused = await small.call('POST', `/v1/runs/${taken.body.id}:export`);
    expect([refused.status, refused.body.reason]).toEqual([413, 'run_export_too_large']);
    expect(await statusAt(small, taken.body.id)).toBe('waiting');
  } finally {
    await small.close();
  }
});

describe.each([
  ['SQLite', 'PostgreSQL'],
  ['PostgreSQL', 'SQLite'],
  ['SQLite', 'SQLite'],
])('from %s to %s', (from, to) => {
  const post = (path: string) => ({ call: 'http', with: { method: 'post', endpoint: farEnd.url + path } });
  const callsTo = (path: string) => farEnd.received.filter(each => each.path === path);
  const at = (name: string) => gateways[name] as TestGateway; // opened above
  const show = async (store: string, id: string) => (await at(store).call('GET', `/v1/runs/${id}`)).body;
  const reaches = (store: string, id: string, status: string) =>
    expect.poll(async () => (await show(store, id)).status, { timeout: 20_000 }).toBe(status);
  const start = async (tasks: unknown, input: unknown = {}) => {
    const { body } = await at(from).call('POST', '/v1/runs', {
      body: { definition: definitionOf(tasks), input },
    });
    return String(body.id);
  };
  const signal = (store: string, id: string, type: string) =>
    at(store).call('POST', `/v1/runs/${id}/signals/${type}`, { body: { data: {} } });
  const exportRun = (id: string) => at(from).call('POST', `/v1/runs/${id}:export`);
  const importRun = (bundle: unknown, key?: string) =>
    at(to).call('POST', '/v1/runs:import', { body: bundle, ...(key !== undefined && { key }) });
  const eventsOf = async (store: string, id: string) =>
    String((await at(store).call('GET', `/v1/runs/${id}/events`)).body)
      .split('\n')
      .filter(line => line.startsWith('data: '))
      .map(line => JSON.parse(line.slice('data: '.length)));

  test('[AG-1] a run goes on where it was, with all it had, and never again where it came from', async () => {
    const [a, b] = [`/a${++lastPath}`, `/b${lastPath}`];
    const id = await start(
      [
        { first: { ...post(a), export: { as: '${ { seen: .seen } }' } } },
        { hear: hear('go') },
        { both: { fork: { branches: [{ left: post(b) }, { right: hear('more') }] } } },
        { last: { set: { seen: '${ $context.seen }', text: '${ $workflow.input.text }' } } },
      ],
      { text: large },
    );
    await reaches(from, id, 'waiting');
    const { status, body: bundle } = await exportRun(id);
    expect(status, JSON.stringify(bundle)).toBe(200);
    expect((await show(from, id)).status).toBe('moved');
    expect((await exportRun(id)).body).toEqual(bundle);
    expect((await signal(from, id, 'go')).body.reason).toBe('run_has_ended');
    const again = await at(from).call('POST', `/v1/runs/${id}:rewind`, { body: { task: '/do/0/first' } });
    expect(again.body.reason).toBe('run_has_moved');

    const taken = await importRun(bundle);
    expect(taken.status, JSON.stringify(taken.body)).toBe(201);
    const now = String(taken.body.id);
    const repeated = await importRun(bundle);
    expect([repeated.status, repeated.body.id]).toEqual([200, now]);
    await reaches(to, now, 'waiting');
    await signal(to, now, 'go');
    await signal(to, now, 'more');
    await reaches(to, now, 'completed');
    expect((await show(to, now)).output).toEqual({ seen: a, text: large });
    expect([a, b].map(path => callsTo(path).length)).toEqual([1, 1]);
    // The keys of its calls are those that it would have had.
    expect(String(callsTo(b)[0]?.headers['idempotency-key'])).toContain(id);
    const before = (await eventsOf(from, id)).slice(1, -1);
    expect((await eventsOf(to, now)).slice(1, 1 + before.length)).toEqual(before);
    expect((await show(from, id)).status).toBe('moved');
  });

  test('what it waits for goes with it, and what was asked of it and not answered', async () => {
    const name = `child-${++lastPath}`;
    const child = { namespace: 'test', name, version: '1.0.0' };
    await at(from).call('PUT', `/v1/workflows/test/${name}/1.0.0`, {
      body: {
        document: { dsl: '1.0.3', ...child },
        do: [{ hear: hear('go') }, { last: { set: { deep: 1 } } }],
      },
    });
    const id = await start([
      { sub: { run: { workflow: child } } },
      { total: { set: { sum: '${ .deep + 1 }' } } },
    ]);
    const childOf = async () => {
      const { body } = await at(from).call('GET', `/v1/runs/${id}/export`);
      const { records } = body.runs[0];
      return records.find(({ event }: { event: { type: string } }) => event.type === 'child-started')?.event
        .runId;
    };
    await expect.poll(childOf, { timeout: 20_000 }).toBeDefined();
    const inside = await childOf();
    await reaches(from, id, 'waiting');
    await reaches(from, inside, 'waiting');
    expect((await exportRun(inside)).body.reason).toBe('run_has_parent');
    const { body: bundle } = await exportRun(id);
    expect(bundle.runs.map((run: { id: string }) => run.id)).toEqual([id, inside]);
    const { body: taken } = await importRun(bundle);
    const listed = await at(to).call('GET', '/v1/runs?limit=200');
    const moved = listed.body.runs.filter(
      (run: { workflow: { name: string } }) => run.workflow.name === name,
    );
    const open = moved.find((run: { status: string }) => run.status !== 'moved');
    await reaches(to, open.id, 'waiting');
    await signal(to, open.id, 'go');
    await reaches(to, taken.id, 'completed');
    expect((await show(to, taken.id)).output).toEqual({ sum: 2 });
  });

  test('a run with a call under way is left alone, and moved when it is paused', async () => {
    const path = `/slow${++lastPath}`;
    slow.add(path);
    const id = await start([{ act: post(path) }, { last: { set: { done: true } } }]);
    await expect.poll(() => callsTo(path).length, { timeout: 20_000 }).toBe(1);
    expect((await exportRun(id)).body.reason).toBe('run_is_busy');
    await at(from).call('POST', `/v1/runs/${id}:pause`);
    held?.();
    await expect.poll(async () => (await exportRun(id)).status, { timeout: 20_000 }).toBe(200);
    const { body: taken } = await importRun((await exportRun(id)).body);
    await reaches(to, taken.id, 'paused');
    await at(to).call('POST', `/v1/runs/${taken.id}:resume`);
    await reaches(to, taken.id, 'completed');
    expect(callsTo(path)).toHaveLength(1);
  });

  test('limits that a run was granted go with it, however often it moves', async () => {
    const rounds = { for: { in: '[range(20)]' }, do: [{ keep: { set: { n: '${ $item }' } } }] };
    const definition = definitionOf([{ rounds }, { hear: hear('go') }, { again: rounds }]);
    const { body } = await at(from).call('POST', '/v1/runs', {
      body: { definition, input: {}, limits: { steps: 10 } },
    });
    await reaches(from, body.id, 'paused');
    const granted = { limits: { steps: 50 } };
    await at(from).call('POST', `/v1/runs/${body.id}:resume`, { body: granted });
    await reaches(from, body.id, 'waiting');
    const { body: there } = await importRun((await exportRun(body.id)).body);
    await reaches(to, there.id, 'waiting');
    const { body: bundle } = await at(to).call('POST', `/v1/runs/${there.id}:export`);
    const { body: back } = await at(from).call('POST', '/v1/runs:import', { body: bundle });
    await reaches(from, back.id, 'waiting');
    await signal(from, back.id, 'go');
    await reaches(from, back.id, 'completed');
  });

  test('[$-1] money that a run was granted goes with it only if whoever takes it in could grant it', async () => {
    const rounds = { for: { in: '[range(20)]' }, do: [{ keep: { set: { n: '${ $item }' } } }] };
    const definition = definitionOf([{ rounds }, { hear: hear('go') }]);
    const owner = async (store: string) => at(store).deps.createKey({ principal: 'boss', roles: ['owner'] });
    const limitAfter = async (key: string | undefined) => {
      const { body } = await at(from).call('POST', '/v1/runs', {
        body: { definition, input: {}, limits: { steps: 10, cost_usd: '1' } },
      });
      await reaches(from, body.id, 'paused');
      const more = { body: { limits: { steps: 50, cost_usd: '5' } } };
      expect((await at(from).call('POST', `/v1/runs/${body.id}:resume`, more)).status).toBe(403);
      const granted = { ...more, key: await owner(from) };
      await at(from).call('POST', `/v1/runs/${body.id}:resume`, granted);
      await reaches(from, body.id, 'waiting');
      const { body: taken } = await importRun((await exportRun(body.id)).body, key);
      const { body: copy } = await at(to).call('GET', `/v1/runs/${taken.id}/export`);
      return copy.runs[0].records[0].event.limits;
    };
    expect(await limitAfter(undefined)).toMatchObject({ maxSteps: 50, maxCostNanoUsd: '1000000000' });
    expect(await limitAfter(await owner(to))).toMatchObject({ maxSteps: 50, maxCostNanoUsd: '5000000000' });
  });

  test('a question to people is put where the run goes on, once', async () => {
    const id = await start([
      { ask: { call: 'human', with: { title: 'Go?', assignees: ['*'], deadline: 'P1D' } } },
    ]);
    await reaches(from, id, 'waiting');
    const { body: taken } = await importRun((await exportRun(id)).body);
    const pending = async () =>
      (await at(to).call('GET', '/v1/approvals?status=pending&limit=200')).body.approvals.filter(
        (each: { run: string }) => each.run === taken.id,
      );
    await expect.poll(async () => (await pending()).length, { timeout: 20_000 }).toBe(1);
    const [approval] = await pending();
    await at(to).call('POST', `/v1/approvals/${approval.id}:decide`, {
      body: { decision: 'approved', digest: approval.digest },
    });
    await reaches(to, taken.id, 'completed');
  });

  test('what was changed, is a copy, belongs to others or does not fit together is refused', async () => {
    const id = await start([{ first: { set: { secret: 'hunter2' } } }, { hear: hear('go') }]);
    await reaches(from, id, 'waiting');
    const { body: copy } = await at(from).call('GET', `/v1/runs/${id}/export`);
    const { body: hidden } = await at(from).call('GET', `/v1/runs/${id}/export?redact=true`);
    expect(JSON.stringify(copy)).toContain('hunter2');
    expect(JSON.stringify(hidden)).not.toContain('hunter2');
    expect((await importRun(copy)).body.reason).toBe('export_is_copy');
    expect((await importRun(hidden)).body.reason).toBe('export_is_copy');
    expect((await show(from, id)).status).toBe('waiting');
    const { body: bundle, status } = await exportRun(id);
    expect(status, JSON.stringify(bundle)).toBe(200);
    const changed = JSON.parse(JSON.stringify(bundle).replace('hunter2', 'hunter3'));
    expect((await importRun(changed)).body.reason).toBe('export_invalid');
    expect((await importRun({ ...bundle, tenant: 'other' })).body.reason).toBe('export_invalid');
    expect((await importRun({ format: 'x' })).status).toBe(400);
  });

  test('[AG-1] an export that was changed and sealed anew makes no second run of the first', async () => {
    const sealed = (bundle: RunExport): RunExport => ({ ...bundle, digest: digestOfExport(bundle) });
    const id = await start([{ hear: hear('go') }, { last: { set: { done: true } } }]);
    await reaches(from, id, 'waiting');
    const { body: copy } = await at(from).call('GET', `/v1/runs/${id}/export`);
    const last = { seq: 99, at_ms: Date.now(), event: { type: 'run-exported', by: 'tester' } };
    const forged = sealed({
      ...copy,
      kind: 'moved',
      runs: [{ ...copy.runs[0], records: [...copy.runs[0].records, last] }],
    });
    const back = await at(from).call('POST', '/v1/runs:import', { body: forged });
    expect([back.status, back.body.reason]).toEqual([409, 'run_not_moved']);

    const { body: bundle } = await exportRun(id);
    const changed = sealed({ ...bundle, exported_at: '2030-01-01T00:00:00.000Z' });
    const other = sealed({ ...bundle, runs: [{ ...bundle.runs[0], version: '9.9.9' }] });
    expect((await at(from).call('POST', '/v1/runs:import', { body: other })).body.reason).toBe(
      'export_invalid',
    );
    const { body: taken } = await importRun(bundle);
    const second = await importRun(changed);
    expect([second.status, second.body.reason]).toEqual([409, 'run_was_imported']);
    expect((await importRun(bundle)).body.id).toBe(taken.id);
  });
});
