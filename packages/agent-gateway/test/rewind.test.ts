import { afterAll, beforeAll, expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

/** Runs that have ended and are taken up again, on both journals. */

let farEnd: FarEnd;
/** Paths that the far end refuses. */
const broken = new Set<string>();
/** Paths at which nobody answers. */
const absent = new Set<string>();
beforeAll(async () => {
  farEnd = await startFarEnd((request, response) => {
    if (absent.has(request.path)) {
      response.destroy();
      return;
    }
    response.statusCode = broken.has(request.path) ? 400 : 200;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ seen: request.path }));
  });
});
afterAll(async () => {
  await farEnd.close();
});

let lastName = 0;

onEachStore((gateway, store) => {
  async function start(tasks: unknown) {
    const { body } = await gateway.call('POST', '/v1/runs?wait=30', {
      body: { definition: definitionOf(tasks), input: {} },
    });
    expect(body.id, JSON.stringify(body)).toBeDefined();
    return body;
  }

  const ask = (id: string, verb: string, body: unknown = {}) =>
    gateway.call('POST', `/v1/runs/${id}:${verb}`, { body });

  async function end(id: string) {
    for (let tries = 0; tries < 1500; tries++) {
      const { body } = await gateway.call('GET', `/v1/runs/${id}`);
      if (['completed', 'failed', 'cancelled', 'terminated'].includes(body.status)) return body;
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    throw new Error('The run did not end');
  }

  const post = (path: string) => ({ call: 'http', with: { method: 'post', endpoint: farEnd.url + path } });
  const callsTo = (path: string) => farEnd.received.filter(each => each.path === path);
  const eventsOf = async (id: string) => {
    const { body } = await gateway.call('GET', `/v1/runs/${id}/events`);
    return String(body)
      .split('\n')
      .filter(line => line.startsWith('data: '))
      .map(line => JSON.parse(line.slice('data: '.length)));
  };
  const names = () => {
    const id = ++lastName;
    return { a: `/a${id}`, b: `/b${id}`, c: `/c${id}` };
  };

  test('[AG-1] a retry goes on from the failed task: what is finished is not done again', async () => {
    const { a, b, c } = names();
    broken.add(b);
    const failed = await start([{ one: post(a) }, { group: { do: [{ two: post(b) }] } }, { three: post(c) }]);
    expect(failed.status).toBe('failed');
    broken.delete(b);
    await ask(failed.id, 'retry');
    expect(await end(failed.id)).toMatchObject({ status: 'completed', output: { seen: c } });
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([1, 2, 1]);

    const events = await eventsOf(failed.id);
    const types = events.map(({ type }) => type);
    expect(types.indexOf('run-rewound')).toBe(types.indexOf('run-failed') + 1);
    expect(types.at(-1)).toBe('run-completed');
    expect(events.find(({ type }) => type === 'run-rewound')).toMatchObject({
      verb: 'retry',
      by: failed.principal,
    });
    const { body: timeline } = await gateway.call('GET', `/v1/runs/${failed.id}/timeline`);
    expect(timeline.spans.find((span: { kind: string }) => span.kind === 'operation')).toMatchObject({
      name: `retry by ${failed.principal}`,
    });
    const open = timeline.spans.filter((span: { status: string }) => span.status !== 'completed');
    expect(open.map(({ id, status }: { id: string; status: string }) => [id, status])).toEqual([
      ['/do/1/group/do/0/two#1', 'failed'],
    ]);
  });

  test('a call that failed goes out again under its key; one that was answered does not keep it', async () => {
    const { a, b } = names();
    absent.add(a);
    broken.add(b);
    const tasks = (path: string) => [{ one: post(path) }];
    const [unanswered, refused] = await Promise.all([start(tasks(a)), start(tasks(b))]);
    expect([unanswered.status, refused.status]).toEqual(['failed', 'failed']);
    absent.delete(a);
    broken.delete(b);
    await Promise.all([ask(unanswered.id, 'retry'), ask(refused.id, 'retry')]);
    expect([(await end(unanswered.id)).status, (await end(refused.id)).status]).toEqual([
      'completed',
      'completed',
    ]);
    const keysOf = (path: string) =>
      new Set(callsTo(path).map(({ headers }) => headers['idempotency-key'])).size;
    expect([callsTo(a).length > 1, keysOf(a), keysOf(b)]).toEqual([true, 1, 2]);
  });

  test('a retry may fail again, and be retried again', async () => {
    const { a, b } = names();
    broken.add(b);
    const { id } = await start([{ one: post(a) }, { two: post(b) }]);
    await ask(id, 'retry');
    const { status, ended_at: endedAt } = await end(id);
    expect([status, endedAt === undefined]).toEqual(['failed', false]);
    broken.delete(b);
    await ask(id, 'retry');
    expect((await end(id)).status).toBe('completed');
    expect([a, b].map(path => callsTo(path).length)).toEqual([1, 3]);
  });

  test('a retry reaches into the branch that failed; what the other branch had finished is kept', async () => {
    const { a, b, c } = names();
    broken.add(b);
    const { id, status } = await start([
      {
        both: {
          fork: {
            branches: [
              { left: { do: [{ one: post(a) }, { three: post(c) }] } },
              { right: { do: [{ pause: { wait: { milliseconds: 600 } } }, { two: post(b) }] } },
            ],
          },
        },
      },
    ]);
    expect(status).toBe('failed');
    broken.delete(b);
    await ask(id, 'retry');
    expect(await end(id)).toMatchObject({ status: 'completed', output: [{ seen: c }, { seen: b }] });
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([1, 2, 1]);
  });

  test('a rewind does a task and all after it again, under new keys, and keeps what was before and what was paid', async () => {
    const { a, b, c } = names();
    const { id } = await start([{ one: post(a) }, { two: post(b) }, { three: post(c) }]);
    await ask(id, 'rewind', { task: '/do/1/two' });
    expect((await end(id)).status).toBe('completed');
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([1, 2, 2]);
    const keys = callsTo(b).map(({ headers }) => headers['idempotency-key']);
    expect(keys[0]).not.toBe(keys[1]);
    await ask(id, 'rewind', { task: '/do/0/one' });
    expect((await end(id)).status).toBe('completed');
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([2, 3, 3]);
  });

  test('a signal that was taken after the point of a rewind is there to be taken again', async () => {
    const { a } = names();
    const { body } = await gateway.call('POST', '/v1/runs', {
      body: {
        definition: definitionOf([
          { hear: { listen: { to: { one: { with: { type: 'go' } } } } } },
          { after: post(a) },
        ]),
        input: {},
      },
    });
    await gateway.call('POST', `/v1/runs/${body.id}/signals/go`, { body: { data: { n: 1 } } });
    expect((await end(body.id)).status).toBe('completed');
    await ask(body.id, 'rewind', { task: '/do/0/hear' });
    expect((await end(body.id)).status).toBe('completed');
    expect(callsTo(a).length).toBe(2);
  });

  test('[AG-1] a fork keeps what was recorded before a task, goes on from there under another definition, and leaves the other run alone', async () => {
    const { a, b, c } = names();
    const tasks = (last: string) => [
      { one: { ...post(a), export: { as: '${ { first: .seen } }' } } },
      {
        group: {
          do: [{ two: post(last) }, { three: { set: { first: '${ $context.first }', seen: '${ .seen }' } } }],
        },
      },
    ];
    const source = await start(tasks(b));
    const forked = await ask(source.id, 'fork', {
      task: '/do/1/group/do/0/two',
      definition: definitionOf(tasks(c)),
    });
    expect(forked.body.id, JSON.stringify(forked.body)).not.toBe(source.id);
    expect(await end(forked.body.id)).toMatchObject({
      status: 'completed',
      output: { first: a, seen: c },
      forked_from: { run: source.id, task: '/do/1/group/do/0/two', kept_cost: { nano_usd: '0' } },
    });
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([1, 1, 1]);
    expect(await end(source.id)).toEqual(source);
    const { body: timeline } = await gateway.call('GET', `/v1/runs/${forked.body.id}/timeline`);
    const kept = timeline.spans.filter((span: { kept?: boolean }) => span.kept);
    expect(kept.map(({ id }: { id: string }) => id)).toEqual(['/do/0/one#1', '/do/0/one#1:request']);

    // A fork is a run like another: it is rewound, also to before it began, and forked.
    await ask(forked.body.id, 'rewind', { task: '/do/0/one' });
    expect((await end(forked.body.id)).status).toBe('completed');
    const second = await ask(forked.body.id, 'fork', { task: '/do/1/group' });
    expect(await end(second.body.id)).toMatchObject({ status: 'completed', output: { first: a, seen: c } });
    expect([a, b, c].map(path => callsTo(path).length)).toEqual([2, 1, 3]);
  });

  test('a fork of a run that goes on does what was under way itself, once for its idempotency key', async () => {
    const { a, b } = names();
    const listen = { listen: { to: { one: { with: { type: 'go' } } } } };
    const { body: source } = await gateway.call('POST', '/v1/runs', {
      body: { definition: definitionOf([{ one: post(a) }, { hear: listen }, { two: post(b) }]), input: {} },
    });
    for (let tries = 0; callsTo(a).length === 0 && tries < 500; tries++)
      await new Promise(resolve => setTimeout(resolve, 20));
    const fork = (task: string) =>
      gateway.call('POST', `/v1/runs/${source.id}:fork`, {
        body: { task },
        headers: { 'idempotency-key': `fork-${a}-${store}` },
      });
    let answer = await fork('/do/1/hear');
    for (let tries = 0; answer.body.reason === 'task_not_begun' && tries < 500; tries++)
      answer = await fork('/do/1/hear');
    expect((await fork('/do/1/hear')).body.id).toBe(answer.body.id);
    expect((await fork('/do/0/one')).body.reason).toBe('idempotency_key_reused');
    await gateway.call('POST', `/v1/runs/${answer.body.id}/signals/go`, { body: { data: { n: 1 } } });
    expect((await end(answer.body.id)).status).toBe('completed');
    expect([a, b].map(path => callsTo(path).length)).toEqual([1, 1]);
    await ask(source.id, 'terminate');
    const misfit = await ask(source.id, 'fork', {
      task: '/do/1/hear',
      definition: definitionOf([{ other: post(a) }]),
    });
    expect([misfit.status, misfit.body.reason]).toEqual([400, 'definition_does_not_fit']);
  });

  test('a retry starts a run that had failed anew, and gives a task that ran out of time its time again', async () => {
    const { a, b } = names();
    broken.add(b);
    await gateway.call('PUT', '/v1/workflows/test/child/1.0.0', {
      body: {
        document: { dsl: '1.0.3', namespace: 'test', name: 'child', version: '1.0.0' },
        do: [{ late: { listen: { to: { one: { with: { type: 'go' } } } } } }],
      },
    });
    await gateway.call('PUT', `/v1/workflows/test/child/1.0.${lastName}`, {
      body: {
        document: { dsl: '1.0.3', namespace: 'test', name: 'child', version: `1.0.${lastName}` },
        do: [{ two: post(b) }],
      },
    });
    const child = (version: string) => ({
      run: { workflow: { namespace: 'test', name: 'child', version, input: {} } },
    });
    const failed = await start([{ one: post(a) }, { sub: child(`1.0.${lastName}`) }]);
    const late = await start([{ sub: { ...child('1.0.0'), timeout: { after: { milliseconds: 300 } } } }]);
    expect([failed.status, late.status, late.error?.reason]).toEqual(['failed', 'failed', 'task_timeout']);
    broken.delete(b);
    await ask(failed.id, 'retry');
    expect(await end(failed.id)).toMatchObject({ status: 'completed', output: { seen: b } });
    expect([a, b].map(path => callsTo(path).length)).toEqual([1, 2]);
    await ask(late.id, 'retry');
    expect((await end(late.id)).error?.reason).toBe('task_timeout');
    const spawned = (await eventsOf(late.id)).filter(({ type }) => type === 'child-started');
    expect(new Set(spawned.map(({ runId }) => runId)).size).toBe(2);
  });

  test('what cannot be taken up again is refused with the reason, and stays as it ended', async () => {
    const { a, b, c } = names();
    broken.add(b);
    const done = await start([{ one: post(a) }]);
    const undone = await start([
      { one: { ...post(a), metadata: { gateway: { compensate: { do: [{ back: post(c) }] } } } } },
      { two: post(b) },
    ]);
    const reason = async (id: string, verb: string, body?: unknown) => {
      const answer = await ask(id, verb, body);
      return [answer.status, answer.body.reason];
    };
    expect(await reason(done.id, 'retry')).toEqual([409, 'run_has_not_failed']);
    expect(await reason(done.id, 'rewind', { task: '/do/9/none' })).toEqual([400, 'task_not_begun']);
    expect(callsTo(c).length, JSON.stringify(undone)).toBe(1);
    expect(await reason(undone.id, 'retry')).toEqual([409, 'run_was_undone']);
    expect(await reason(undone.id, 'rewind', { task: '/do/1/two' })).toEqual([409, 'run_was_undone']);
    expect((await end(undone.id)).status).toBe('failed');
    broken.delete(b);
    await ask(undone.id, 'rewind', { task: '/do/0/one' });
    expect((await end(undone.id)).status).toBe('completed');
  });
});
