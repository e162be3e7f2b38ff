import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';

/** Concurrency keys over HTTP, on both journals. */

const listen = (type: string) => ({ listen: { to: { one: { with: { type } } } } });

onEachStore(gateway => {
  const definition = (tasks: unknown, queue: unknown) => ({
    ...definitionOf(tasks),
    document: { ...definitionOf([]).document, metadata: { gateway: queue } },
  });
  const keyed = (limit: number) => ({ concurrency: { key: '${ .customer }', limit } });
  const submit = async (body: unknown) => {
    const answer = await gateway.call('POST', '/v1/runs', { body });
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    return String(answer.body.id);
  };
  const show = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body;
  const reaches = (id: string, status: string) =>
    expect.poll(async () => (await show(id)).status, { timeout: 20_000 }).toBe(status);
  const signal = (id: string, type: string) =>
    gateway.call('POST', `/v1/runs/${id}/signals/${type}`, { body: { data: {} } });
  const queue = async (key: string) => gateway.call('GET', `/v1/queues/${encodeURIComponent(key)}`);

  test('[AG-6] runs of one key go one after another, whatever they wait for; those of another key do not wait', async () => {
    const body = (customer: string) => ({
      definition: definition([{ hear: listen('go') }], keyed(1)),
      input: { customer },
    });
    const first = await submit(body('c:1/x'));
    await reaches(first, 'waiting');
    const second = await submit(body('c:1/x'));
    const other = await submit(body('c:2'));
    await reaches(other, 'waiting');
    expect(await show(second)).toMatchObject({
      status: 'pending',
      queue: { name: 'c:1/x', waiting: true },
    });
    expect((await queue('c:1/x')).body).toMatchObject({ running: 1, waiting: 1, paused: false });
    await signal(second, 'go'); // kept, although the run has not begun
    await signal(first, 'go');
    await reaches(first, 'completed');
    await reaches(second, 'completed');
    expect((await queue('c:1/x')).body.reason).toBe('queue_not_found');
    await signal(other, 'go');
    await reaches(other, 'completed');
  });

  test('a run that waits in its queue is cancelled, or paused and resumed, before it begins', async () => {
    const waiting = (tasks: unknown) => ({
      definition: definition(tasks, keyed(1)),
      input: { customer: 7 },
    });
    const first = await submit(waiting([{ hear: listen('go') }]));
    await reaches(first, 'waiting');
    const [cancelled, paused] = [
      await submit(waiting([{ one: { set: { a: 1 } } }])),
      await submit(waiting([{ one: { set: { a: 1 } } }])),
    ];
    await gateway.call('POST', `/v1/runs/${cancelled}:cancel`);
    await reaches(cancelled, 'cancelled');
    await gateway.call('POST', `/v1/runs/${paused}:pause`);
    await reaches(paused, 'paused');
    await gateway.call('POST', `/v1/runs/${paused}:resume`);
    await expect.poll(async () => (await show(paused)).status).not.toBe('paused');
    expect((await show(paused)).queue).toEqual({ name: '7', waiting: true });
    await signal(first, 'go');
    await reaches(paused, 'completed');
    expect((await queue('7')).status).toBe(404);
  });

  test('a run goes in with the run of the same queue that waits for it', async () => {
    const inner = { namespace: 'test', name: `inner`, version: '1.0.0' };
    const metadata = { gateway: { concurrency: { key: 'one', limit: 1 } } };
    await gateway.call('PUT', '/v1/workflows/test/inner/1.0.0', {
      body: { document: { dsl: '1.0.3', ...inner, metadata }, do: [{ one: { set: { deep: true } } }] },
    });
    const middle = { namespace: 'test', name: 'middle', version: '1.0.0' };
    await gateway.call('PUT', '/v1/workflows/test/middle/1.0.0', {
      body: { document: { dsl: '1.0.3', ...middle }, do: [{ sub: { run: { workflow: inner } } }] },
    });
    const id = await submit({
      definition: definition([{ sub: { run: { workflow: middle } } }], metadata.gateway),
      input: {},
    });
    await reaches(id, 'completed');
    expect((await show(id)).output).toEqual({ deep: true });
  });

  test('a queue is paused, given a limit and resumed, by whoever may use every workflow', async () => {
    const change = await gateway.call('PUT', '/v1/queues/jobs', { body: { paused: true, limit: 2 } });
    expect(change.body).toEqual({ name: 'jobs', paused: true, limit: 2, running: 0, waiting: 0 });
    const runs: string[] = [];
    for (let count = 0; count < 3; count++)
      runs.push(
        await submit({
          definition: definition([{ hear: listen('go') }], { concurrency: { key: 'jobs', limit: 1 } }),
          input: {},
        }),
      );
    expect((await queue('jobs')).body).toMatchObject({ running: 0, waiting: 3 });
    expect((await gateway.call('POST', '/v1/queues/jobs:resume')).body).toMatchObject({
      running: 2,
      waiting: 1,
      paused: false,
    });
    const listed = (await gateway.call('GET', '/v1/queues')).body.queues;
    expect(listed.map((each: { name: string }) => each.name)).toContain('jobs');
    for (const id of runs) await signal(id, 'go');
    for (const id of runs) await reaches(id, 'completed');
    expect((await gateway.call('PUT', '/v1/queues/jobs', { body: { limit: null } })).body.limit).toBe(
      undefined,
    );
    expect((await queue('jobs')).status).toBe(404);
    expect((await gateway.call('POST', '/v1/queues/jobs:drop')).body.reason).toBe('unknown_route');
    expect((await gateway.call('PUT', '/v1/queues/jobs', { body: { limit: 0 } })).status).toBe(400);
  });

  test('what is no key is refused at once, in the document and in the input', async () => {
    const bad = await gateway.call('POST', '/v1/runs', {
      body: { definition: definition([{ one: { set: { a: 1 } } }], keyed(1)), input: { customer: {} } },
    });
    expect([bad.status, bad.body.reason]).toEqual([400, 'concurrency_key_invalid']);
    const { body } = await gateway.call('POST', '/v1/workflows:validate', {
      body: definition([{ one: { set: { a: 1 }, metadata: { gateway: { priority: 2 } } } }], {
        concurrency: { key: '${ .( }' },
        priority: 12,
        onInDoubt: 'park',
      }),
    });
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      '/do/0/one/metadata/gateway/priority',
      '/document/metadata/gateway/concurrency/limit',
      '/document/metadata/gateway/onInDoubt',
      '/document/metadata/gateway/priority',
    ]);
  });
});
