import { sized } from '@strata/shared/testing/size.ts';
import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';

/** Runs that sleep while their definition gets a new version, on both journals. */

const sleepers = sized({ ci: 60, soak: 1000 });

let lastName = 0;
const hear = { listen: { to: { one: { with: { type: 'go' } } } }, output: { as: '${ {} }' } };
const version = (name: string, number: string, tasks: unknown) => ({
  document: { dsl: '1.0.3', namespace: 'test', name, version: number },
  do: tasks,
});

onEachStore(gateway => {
  const put = async (document: { document: { name: string; version: string } }) => {
    const { name, version: number } = document.document;
    const answer = await gateway.call('PUT', `/v1/workflows/test/${name}/${number}`, { body: document });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  };
  const show = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body;
  const reaches = (id: string, status: string) =>
    expect.poll(async () => (await show(id)).status, { timeout: 60_000 }).toBe(status);
  const signal = (id: string) => gateway.call('POST', `/v1/runs/${id}/signals/go`, { body: { data: {} } });
  const migrate = (id: string, body: unknown, dryRun = '') =>
    gateway.call('POST', `/v1/runs/${id}:migrate${dryRun}`, { body });
  const start = async (workflow: string) => {
    const { body } = await gateway.call('POST', '/v1/runs', { body: { workflow, input: {} } });
    return String(body.id);
  };

  /** Two versions, and a run of the first that sleeps between `first` and `last`. */
  async function asleep(tasksOf: (number: string) => unknown, versions = ['1.0.0', '2.0.0']) {
    const name = `flow-${++lastName}`;
    for (const number of versions) await put(version(name, number, tasksOf(number)));
    const id = await start(`test/${name}@1.0.0`);
    await reaches(id, 'waiting');
    return { id, name, to: `test/${name}@2.0.0` };
  }

  test(`[8.4-8] [AG-3] ${sleepers} runs that sleep while a new version is published all finish on the one they began with`, async () => {
    const name = `flow-${++lastName}`;
    const tasks = (number: string) => [{ first: { set: { a: 1 } } }, { hear }, { last: { set: { number } } }];
    await put(version(name, '1.0.0', tasks('1.0.0')));
    const ids: string[] = [];
    while (ids.length < sleepers)
      ids.push(...(await Promise.all(Array.from({ length: 10 }, () => start(`test/${name}@1.0.0`)))));
    for (const id of ids) await reaches(id, 'waiting');
    await put(version(name, '2.0.0', [{ other: { set: { a: 2 } } }, ...tasks('2.0.0')]));
    const dry = await migrate(ids[0] ?? '', { workflow: `test/${name}@2.0.0` }, '?dryRun');
    expect(dry.body).toMatchObject({
      possible: false,
      from: '1.0.0',
      to: '2.0.0',
      divergence: { task: '', detail: "Its list begins with '/do/0/other' there." },
    });
    for (const id of ids) await signal(id);
    for (const id of ids) await reaches(id, 'completed');
    for (const id of ids)
      expect(await show(id)).toMatchObject({
        output: { number: '1.0.0' },
        workflow: { version: '1.0.0' },
      });
  }, 240_000);

  test('[F80] [F81] a version and the one before it again: every run ends on its own, and what it had recorded stays as it was', async () => {
    const name = `flow-${++lastName}`;
    const steps = (number: string) => [
      { first: { set: { number } } },
      { hear },
      { last: { set: { number } } },
    ];
    await put(version(name, '1.0.0', steps('1.0.0')));
    await put(
      version(name, '2.0.0', [steps('2.0.0')[0], { between: { set: { a: 1 } } }, ...steps('2.0.0').slice(1)]),
    );
    const runs = new Map<string, string>();
    for (const number of ['1.0.0', '2.0.0', '1.0.0']) runs.set(await start(`test/${name}@${number}`), number);
    for (const id of runs.keys()) await reaches(id, 'waiting');
    const recordsOf = async (id: string): Promise<unknown[]> =>
      (await gateway.call('GET', `/v1/runs/${id}/export`)).body.runs[0].records;
    const before = new Map<string, unknown[]>();
    for (const id of runs.keys()) before.set(id, await recordsOf(id));
    for (const id of runs.keys()) await signal(id);
    for (const [id, number] of runs) {
      await reaches(id, 'completed');
      expect(await show(id)).toMatchObject({ output: { number }, workflow: { version: number } });
      const kept = before.get(id) ?? [];
      expect(kept.length).toBeGreaterThan(3);
      expect((await recordsOf(id)).slice(0, kept.length)).toEqual(kept);
    }
  });

  test('a sleeping run goes on under a version that has the same way behind it, and a dry run changes nothing', async () => {
    const { id, to } = await asleep(number => [
      { first: { set: { asked: number } } },
      { hear },
      { last: { set: { number } } },
      ...(number === '1.0.0' ? [] : [{ more: { set: { number: '${ .number + "+" }' } } }]),
    ]);
    const before = await show(id);
    const dry = await migrate(id, { workflow: to }, '?dryRun=true');
    expect(dry.body).toMatchObject({ possible: true, from: '1.0.0', to: '2.0.0' });
    expect(await show(id)).toEqual(before);
    const moved = await migrate(id, { workflow: to });
    expect([moved.status, moved.body.workflow.version]).toEqual([202, '2.0.0']);
    expect((await migrate(id, { workflow: to })).status).toBe(202);
    await signal(id);
    await reaches(id, 'completed');
    expect((await show(id)).output).toEqual({ number: '2.0.0+' });
    const { body: timeline } = await gateway.call('GET', `/v1/runs/${id}/timeline`);
    const operations = timeline.spans.filter((span: { kind: string }) => span.kind === 'operation');
    expect(operations.map((span: { name: string }) => span.name)).toEqual([
      expect.stringMatching(/^migrate to 2\.0\.0 by /),
    ]);
    // What it is now, it is also when it is taken up again.
    await gateway.call('POST', `/v1/runs/${id}:rewind`, { body: { task: '/do/0/first' } });
    await reaches(id, 'completed');
    expect(await show(id)).toMatchObject({
      output: { number: '2.0.0+' },
      workflow: { version: '2.0.0' },
    });
  });

  test('a fork of a run that was moved has the definition that it is forked with', async () => {
    const { id, name, to } = await asleep(number => [
      { first: { set: { a: 1 } } },
      { hear },
      { last: { set: { number } } },
    ]);
    expect((await migrate(id, { workflow: to })).status).toBe(202);
    await signal(id);
    await reaches(id, 'completed');
    const fork = async (body: object) => {
      const { body: run } = await gateway.call('POST', `/v1/runs/${id}:fork`, {
        body: { task: '/do/2/last', ...body },
      });
      await reaches(run.id, 'completed');
      return (await show(run.id)).output;
    };
    expect(await fork({})).toEqual({ number: '2.0.0' });
    expect(await fork({ workflow: `test/${name}@1.0.0` })).toEqual({ number: '1.0.0' });
  });

  test('a run whose way is not that of the definition is left as it is, and the place is said', async () => {
    const nested = (inner: unknown[]) => [{ group: { do: inner } }];
    const { id, name } = await asleep(
      () => nested([{ first: { set: { a: 1 } } }, { hear }, { last: { set: { b: 1 } } }]),
      ['1.0.0'],
    );
    const refusal = async (inner: unknown[], number: string) => {
      await put(version(name, number, nested(inner)));
      const { status, body } = await migrate(id, { workflow: `test/${name}@${number}` });
      return [status, body.reason, body.divergence?.task];
    };
    const at = '/do/0/group/do';
    const [first, last] = [{ first: { set: { a: 1 } } }, { last: { set: { b: 1 } } }];
    expect(await refusal([{ first: { wait: 'PT1S' } }, { hear }, last], '1.1.0')).toEqual([
      409,
      'definition_diverges',
      `${at}/0/first`,
    ]);
    expect(await refusal([first, { other: { set: { c: 1 } } }, { hear }, last], '1.2.0')).toEqual([
      409,
      'definition_diverges',
      `${at}/0/first`,
    ]);
    const otherwise = { listen: { to: { one: { with: { type: 'stop' } } } } };
    expect(await refusal([first, { hear: otherwise }, last], '1.3.0')).toEqual([
      409,
      'definition_diverges',
      `${at}/1/hear`,
    ]);
    expect(await refusal([], '1.4.0')).toEqual([409, 'definition_diverges', '/do/0/group']);
    await signal(id);
    await reaches(id, 'completed');
    const ended = await migrate(id, { workflow: `test/${name}@1.1.0` });
    expect([ended.status, ended.body.reason]).toEqual([409, 'run_has_ended']);
    const other = await migrate(id, { definition: version('another', '1.0.0', [first]) });
    expect([other.status, other.body.reason]).toEqual([400, 'workflow_name_mismatch']);
  });

  test('a choice that was made by other rules is a way of its own', async () => {
    const choose = (limit: number) => ({
      choose: {
        switch: [{ high: { when: `\${ .a > ${limit} }`, then: 'hear' } }, { low: { then: 'last' } }],
      },
    });
    const { id, to } = await asleep(number => [
      { first: { set: { a: 5 } } },
      choose(number === '1.0.0' ? 3 : 9),
      { last: { set: { b: 1 } } },
      { hear },
    ]);
    const { body } = await migrate(id, { workflow: to });
    expect(body.divergence).toMatchObject({ task: '/do/1/choose', visit: 1 });
    await gateway.call('POST', `/v1/runs/${id}:terminate`);
  });

  test('the limits of the version that it goes on under count, but for what it was granted', async () => {
    const rounds = { for: { in: '[range(20)]' }, do: [{ keep: { set: { n: '${ $item }' } } }] };
    const limits: Record<string, object> = { '1.0.0': { visits: 500 }, '2.0.0': { steps: 30 } };
    const name = `flow-${++lastName}`;
    for (const number of Object.keys(limits)) {
      const { document, ...rest } = version(name, number, [{ hear }, { rounds }, { again: rounds }]);
      const metadata = { gateway: { limits: limits[number] } };
      await put({ ...rest, document: Object.assign(document, { metadata }) });
    }
    const id = await start(`test/${name}@1.0.0`);
    await reaches(id, 'waiting');
    expect((await migrate(id, { workflow: `test/${name}@2.0.0` })).status).toBe(202);
    await signal(id);
    await reaches(id, 'paused');
    expect((await show(id)).pause.error.detail).toContain('the limit is 30');
    await gateway.call('POST', `/v1/runs/${id}:resume`, { body: { limits: { steps: 40 } } });
    await reaches(id, 'paused');
    await migrate(id, { workflow: `test/${name}@1.0.0` });
    await gateway.call('POST', `/v1/runs/${id}:resume`);
    await reaches(id, 'paused');
    expect((await show(id)).pause.error.detail).toContain('the limit is 40');
    await gateway.call('POST', `/v1/runs/${id}:resume`, { body: { limits: { steps: 60 } } });
    await reaches(id, 'completed');
  });

  test('a paused run is moved, and goes on when it is resumed', async () => {
    const { id, to } = await asleep(number => [{ hear }, { last: { set: { number } } }]);
    await gateway.call('POST', `/v1/runs/${id}:pause`);
    await reaches(id, 'paused');
    expect((await migrate(id, { workflow: to })).body.workflow.version).toBe('2.0.0');
    await signal(id);
    await gateway.call('POST', `/v1/runs/${id}:resume`);
    await reaches(id, 'completed');
    expect((await show(id)).output).toEqual({ number: '2.0.0' });
  });
});
