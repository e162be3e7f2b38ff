import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stores } from './support/both-stores.ts';
import { useStoreConfigs } from './support/each-store.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** What a run was lowered to, and what it was granted, counts for the runs that it starts: wherever they go on, and under which version. */

const configOf = useStoreConfigs();
const hourMs = 3_600_000;
const hear = { hear: { listen: { to: { one: { with: { type: 'go' } } } }, output: { as: '${ {} }' } } };
const rounds = { for: { in: '[range(20)]' }, do: [{ keep: { set: { n: '${ $item }' } } }] };
const within = (definition: ReturnType<typeof definitionOf>, limits: object) => ({
  ...definition,
  document: { ...definition.document, metadata: { gateway: { limits } } },
});

describe.each(stores)('%s', store => {
  let lastName = 0;
  let deps: TestDeps;
  /** Two installations, each with its store: an hour is configured here, a day there. */
  let here: TestGateway;
  let there: TestGateway;
  beforeAll(async () => {
    deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(store) });
    const limits = { run_ms: hourMs, cost_usd: '8' };
    here = await startGateway({ deps, config: { limits } });
    const others = await createTestDeps({ name: 'agent-gateway', config: await configOf(store) });
    there = await startGateway({ deps: others, config: { limits: { ...limits, run_ms: 24 * hourMs } } });
  });
  afterAll(async () => {
    for (const gateway of [here, there]) {
      await gateway.close();
      await gateway.deps.close();
    }
  });

  const show = async (id: string, of = here) => (await of.call('GET', `/v1/runs/${id}`)).body;
  const reaches = (id: string, status: string, of = here) =>
    expect.poll(async () => (await show(id, of)).status, { timeout: 20_000 }).toBe(status);
  const signal = (id: string, of = here) => of.call('POST', `/v1/runs/${id}/signals/go`, { body: {} });
  const recordsOf = async (id: string, of = here) =>
    (await of.call('GET', `/v1/runs/${id}/export`)).body.runs[0].records.map(
      ({ event }: { event: { type: string } }) => event,
    );
  const eventOf = async (id: string, type: string, of = here) =>
    (await recordsOf(id, of)).findLast((event: { type: string }) => event.type === type);
  const put = async (name: string, version: string, { limits = {}, of = here } = {}) => {
    const { document, ...rest } = within(definitionOf([hear, { rounds }]), limits);
    const body = { ...rest, document: { ...document, name, version } };
    const { status } = await of.call('PUT', `/v1/workflows/test/${name}/${version}`, { body });
    expect(status).toBe(201);
  };
  const submit = async (definition: object, limits?: object) => {
    const { status, body } = await here.call('POST', '/v1/runs', {
      body: { definition, ...(limits && { limits }) },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return String(body.id);
  };
  const childOf = async (id: string) => {
    await expect.poll(() => eventOf(id, 'child-started'), { timeout: 20_000 }).toBeDefined();
    const { runId } = await eventOf(id, 'child-started');
    await reaches(runId, 'waiting');
    return String(runId);
  };
  const starts = (name: string) => ({
    sub: { run: { workflow: { namespace: 'test', name, version: '1.0.0' } } },
  });

  test('[G4] a child that goes on under another version has no more than the run that started it', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0');
    await put(name, '2.0.0');
    const limits = { steps: 10, wallClock: 'PT30M', costUsd: '1' };
    const id = await submit(within(definitionOf([starts(name)]), limits));
    const child = await childOf(id);
    const before = await eventOf(child, 'run-created');
    expect(before.limits).toMatchObject({ maxSteps: 10, maxCostNanoUsd: '1000000000' });
    const moved = await here.call('POST', `/v1/runs/${child}:migrate`, {
      body: { workflow: `test/${name}@2.0.0` },
    });
    expect(moved.status).toBe(202);
    await expect
      .poll(() => eventOf(child, 'run-migrated'), { timeout: 20_000 })
      .toMatchObject({ limits: before.limits, deadlineAtMs: before.deadlineAtMs });
    await signal(child);
    await reaches(child, 'paused');
    expect((await show(child)).pause.error.detail).toContain('the limit is 10');
  });

  async function moveTree(id: string): Promise<string> {
    const { body: bundle } = await here.call('POST', `/v1/runs/${id}:export`);
    expect(bundle.runs).toHaveLength(2);
    const { body: taken } = await there.call('POST', '/v1/runs:import', { body: bundle });
    await expect
      .poll(() => eventOf(taken.id, 'run-imported', there), { timeout: 20_000 })
      .toHaveProperty('children');
    const { children } = await eventOf(taken.id, 'run-imported', there);
    const [child] = Object.values<string>(children);
    await reaches(String(child), 'waiting', there);
    return String(child);
  }

  test('[G4] what a run was granted goes with the run that it started, and with what that one is moved to', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0');
    const id = await submit(definitionOf([{ rounds }, starts(name)]), { steps: 10 });
    await reaches(id, 'paused');
    await here.call('POST', `/v1/runs/${id}:resume`, { body: { limits: { steps: 100 } } });
    const child = await moveTree((await childOf(id)) && id);
    await signal(child, there);
    await reaches(child, 'completed', there);
  });

  test('[G4] what the definition of a run lowers holds for the run that it started where that one is moved to', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0');
    const definition = within(definitionOf([starts(name)]), { steps: 10, costUsd: '1' });
    const id = await submit(definition, { steps: 15, cost_usd: '2' });
    const child = await moveTree((await childOf(id)) && id);
    expect((await eventOf(child, 'run-imported', there)).limits).toMatchObject({
      maxCostNanoUsd: '1000000000',
    });
    const { identity, parent } = await eventOf(child, 'run-created', there);
    expect([identity.spendsOf, typeof parent]).toEqual([parent, 'string']);
    await signal(child, there);
    await reaches(child, 'paused', there);
    expect((await show(child, there)).pause.error.detail).toContain('the limit is 10');
  });

  /** A run that has been there for a while when it starts another one. */
  async function startLater(name: string, { of = here, limits = {} } = {}) {
    const { document, ...rest } = within(definitionOf([hear, starts(name)]), limits);
    const flow = `flow-${++lastName}`;
    const version = (number: string, more: object) => ({
      ...rest,
      document: { ...within({ ...rest, document }, more).document, name: flow, version: number },
    });
    const { body } = await of.call('POST', '/v1/runs', { body: { definition: version('1.0.0', limits) } });
    await reaches(body.id, 'waiting', of);
    await signal(body.id, of);
    return { id: String(body.id), child: await childOf(body.id), version };
  }
  const createdAt = async (id: string, of = here) => Date.parse((await show(id, of)).created_at);

  test('[G4] what its own definition lowers holds for a run that another one started', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0', { limits: { steps: 10, wallClock: 'PT2M', costUsd: '1', liveTasks: 2 } });
    const { id, child } = await startLater(name);
    const { limits, deadlineAtMs } = await eventOf(child, 'run-created');
    expect(limits).toMatchObject({ maxSteps: 10, maxRunMs: 120_000 });
    // What the tree has together, the run at its top says.
    const above = (await eventOf(id, 'run-created')).limits;
    expect(limits.maxLiveTasks).toBe(above.maxLiveTasks);
    expect(limits.maxCostNanoUsd).toBe(above.maxCostNanoUsd);
    expect(deadlineAtMs).toBe((await createdAt(child)) + 120_000);
    expect(above.maxSteps).toBeGreaterThan(10);
    await signal(child);
    await reaches(child, 'paused');
    expect((await show(child)).pause.error.detail).toContain('the limit is 10');
  });

  test('[G4] a child that goes on under a version with less time has that time from its own beginning', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0');
    await put(name, '2.0.0', { limits: { wallClock: 'PT2M' } });
    const { id, child } = await startLater(name);
    const created = await createdAt(child);
    expect(created).toBeGreaterThan(await createdAt(id));
    await here.call('POST', `/v1/runs/${child}:migrate`, { body: { workflow: `test/${name}@2.0.0` } });
    await expect
      .poll(() => eventOf(child, 'run-migrated'), { timeout: 20_000 })
      .toMatchObject({ deadlineAtMs: created + 120_000 });
  });

  test('[G4] a child that is taken in has its own time from its own beginning, and no more than the run above it has by then', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0', { limits: { wallClock: 'PT1H' } });
    const { id, child, version } = await startLater(name);
    const created = await createdAt(child);
    const { deadlineAtMs } = await eventOf(child, 'run-created');
    expect(deadlineAtMs).toBeLessThan(created + hourMs);
    const definition = version('2.0.0', { steps: 12 });
    await here.call('POST', `/v1/runs/${id}:migrate`, { body: { definition } });
    await expect.poll(() => eventOf(id, 'run-migrated'), { timeout: 20_000 }).toBeDefined();
    const imported = await eventOf(await moveTree(id), 'run-imported', there);
    expect(imported).toMatchObject({ deadlineAtMs: created + hourMs, limits: { maxSteps: 12 } });
  });

  test('[G4] a tree whose definition gives it no time of its own can be moved once it was granted some', async () => {
    const name = `child-${++lastName}`;
    await put(name, '1.0.0');
    const id = await submit(within(definitionOf([starts(name)]), { wallClock: 'PT0S' }));
    await reaches(id, 'paused');
    await here.call('POST', `/v1/runs/${id}:resume`, { body: { limits: { run_ms: hourMs } } });
    const child = await moveTree((await childOf(id)) && id);
    await signal(child, there);
    await reaches(child, 'completed', there);
  });

  test('a run that is taken in has as long as runs have there, and a version that lowers it counts from its beginning', async () => {
    const name = `flow-${++lastName}`;
    const version = (number: string, limits: object) => {
      const { document, ...rest } = within(definitionOf([hear]), limits);
      return { ...rest, document: { ...document, name, version: number } };
    };
    const id = await submit(version('1.0.0', {}));
    await reaches(id, 'waiting');
    const { deadlineAtMs } = await eventOf(id, 'run-created');
    const { body: bundle } = await here.call('POST', `/v1/runs/${id}:export`);
    const { body: taken } = await there.call('POST', '/v1/runs:import', { body: bundle });
    await reaches(taken.id, 'waiting', there);
    const imported = await eventOf(taken.id, 'run-imported', there);
    expect(imported.deadlineAtMs - deadlineAtMs).toBe(23 * hourMs);
    const definition = version('2.0.0', { wallClock: 'PT2H' });
    await there.call('POST', `/v1/runs/${taken.id}:migrate`, { body: { definition } });
    await expect
      .poll(() => eventOf(taken.id, 'run-migrated', there), { timeout: 20_000 })
      .toMatchObject({ deadlineAtMs: deadlineAtMs + hourMs });
    await reaches(taken.id, 'waiting', there);
  });
});
