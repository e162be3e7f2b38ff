import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';

/** Signals, events and runs that start runs, on both journals. */

onEachStore(gateway => {
  async function start(tasks: unknown, input: unknown = {}): Promise<string> {
    const { body } = await gateway.call('POST', '/v1/runs', {
      body: { definition: definitionOf(tasks), input },
    });
    expect(body.id, JSON.stringify(body)).toBeDefined();
    return body.id;
  }

  async function reach(id: string, status: string) {
    for (let tries = 0; tries < 1500; tries++) {
      const { body } = await gateway.call('GET', `/v1/runs/${id}`);
      if (body.status === status) return body;
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    throw new Error(`The run did not become ${status}`);
  }

  const listen = (type: string) => ({ listen: { to: { one: { with: { type } } } } });
  const event = (id: string, type: string, data: unknown) => ({
    specversion: '1.0',
    id,
    source: 'test',
    type,
    data,
  });
  const publish = (body: unknown) => gateway.call('POST', '/v1/events', { body });

  test('[8.4-4] [F77] a signal that came before anybody waited is kept, and taken once however often it is sent', async () => {
    const id = await start([
      { pause: { wait: { milliseconds: 150 } } },
      { first: listen('go') },
      { second: listen('go') },
    ]);
    const send = (signal: string, data: unknown) =>
      gateway.call('POST', `/v1/runs/${id}/signals/go`, { body: { id: signal, data } });
    await send('s1', { n: 1 });
    await send('s1', { n: 1 });
    await reach(id, 'waiting');
    await send('s2', { n: 2 });
    expect(await reach(id, 'completed')).toMatchObject({ output: [{ n: 2 }] });
    const late = await send('s3', {});
    expect([late.status, late.body.reason]).toEqual([409, 'run_has_ended']);
  });

  test('an event reaches every run that listens to its type, also one that listens later', async () => {
    const early = await start([{ hear: listen('order-made') }]);
    const late = await start([{ pause: { wait: { milliseconds: 200 } } }, { hear: listen('order-made') }]);
    const deaf = await start([{ hear: listen('order-paid') }]);
    await reach(early, 'waiting');
    expect((await publish(event('e1', 'order-made', { order: 7 }))).status).toBe(202);
    await publish(event('e1', 'order-made', { order: 7 }));
    expect((await reach(early, 'completed')).output).toEqual([{ order: 7 }]);
    expect((await reach(late, 'completed')).output).toEqual([{ order: 7 }]);
    expect((await reach(deaf, 'waiting')).status).toBe('waiting');
    await gateway.call('POST', `/v1/runs/${deaf}:terminate`);
  });

  test('[W11] what one run emits another hears', async () => {
    const hearing = await start([{ hear: listen('ping') }]);
    await reach(hearing, 'waiting');
    await start(
      [
        {
          say: {
            emit: {
              event: { with: { source: 'https://test.example/a', type: 'ping', data: { n: '${ .n }' } } },
            },
          },
        },
      ],
      { n: 5 },
    );
    expect((await reach(hearing, 'completed')).output).toEqual([{ n: 5 }]);
  });

  const child = (tasks: unknown) => ({
    document: { dsl: '1.0.3', namespace: 'test', name: 'child', version: '1.0.0' },
    do: tasks,
  });
  const run = (version: string, rest = {}) => ({
    run: { workflow: { namespace: 'test', name: 'child', version, input: { n: '${ .n }' } }, ...rest },
  });
  const store = (version: string, tasks: unknown) => {
    const definition = child(tasks);
    definition.document.version = version;
    return gateway.call('PUT', `/v1/workflows/test/child/${version}`, { body: definition });
  };

  test('a run starts another, waits for it and goes on with what it gave, or with its error', async () => {
    await store('1.0.0', [{ double: { set: { doubled: '${ .n * 2 }' } } }]);
    const id = await start([{ sub: run('1.0.0') }, { after: { set: { seen: '${ .doubled }' } } }], {
      n: 21,
    });
    expect((await reach(id, 'completed')).output).toEqual({ seen: 42 });
    await store('1.1.0', [
      { bad: { raise: { error: { type: 'https://test.example/no', status: 418, title: 'No' } } } },
    ]);
    const failing = await start([{ sub: run('1.1.0') }], { n: 1 });
    expect((await reach(failing, 'failed')).error).toMatchObject({
      type: 'https://test.example/no',
      status: 418,
    });
    const missing = await start([{ sub: run('9.9.9') }], { n: 1 });
    expect((await reach(missing, 'failed')).error).toMatchObject({ reason: 'workflow_not_found' });
  });

  test('[F79] a run that nobody waits for any more is cancelled, unless it was detached', async () => {
    await store('2.0.0', [{ long: { wait: 'PT1H' } }]);
    const id = await start(
      [{ both: { fork: { branches: [{ a: run('2.0.0') }, { b: run('2.0.0', { await: false }) }] } } }],
      { n: 1 },
    );
    const children = await eventually(async () => {
      const { body } = await gateway.call('GET', '/v1/runs?limit=200');
      const found = body.runs.filter(
        (each: { workflow: { version: string } }) => each.workflow.version === '2.0.0',
      );
      return found.length === 2 ? found : undefined;
    });
    await gateway.call('POST', `/v1/runs/${id}:terminate`);
    await reach(id, 'terminated');
    const statuses = await eventually(async () => {
      const bodies = await Promise.all(
        children.map((each: { id: string }) => gateway.call('GET', `/v1/runs/${each.id}`)),
      );
      const found = bodies.map(({ body }) => body.status).sort();
      return found.includes('cancelled') ? found : undefined;
    });
    expect(statuses).toEqual(['cancelled', 'waiting']);
    await Promise.all(
      children.map((each: { id: string }) => gateway.call('POST', `/v1/runs/${each.id}:terminate`)),
    );
  });

  test('[G4] a workflow that starts itself ends at the depth that the run may have', async () => {
    await store('3.0.0', [{ again: run('3.0.0') }]);
    const id = await start([{ sub: run('3.0.0') }], { n: 1 });
    expect((await reach(id, 'failed')).error).toMatchObject({ reason: 'run_depth_exhausted' });
  });

  async function eventually<Value>(look: () => Promise<Value | undefined>): Promise<Value> {
    for (let tries = 0; tries < 1000; tries++) {
      const found = await look();
      if (found !== undefined) return found;
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    throw new Error('It did not come about');
  }
});
