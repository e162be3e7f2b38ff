import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';

/** What grows by what a tenant does, and where it ends, on both journals. */

const messages = 5;

const section = {
  limits: { messages },
  stored: { definition_bytes: 20_000, workflows_per_tenant: 3, schedules_per_tenant: 2 },
};

onEachStore((gateway, store) => {
  const reasonOf = async (answer: Promise<{ status: number; body: { reason?: string } }>) => {
    const { status, body } = await answer;
    return [status, body?.reason];
  };
  const put = (version: string, rest: Record<string, unknown> = {}) => {
    const definition = definitionOf([{ a: { set: { done: version } } }], rest);
    return gateway.call('PUT', `/v1/workflows/test/flow/${version}`, {
      body: { ...definition, document: { ...definition.document, version } },
    });
  };
  const submit = async (tasks: unknown) => {
    const { body } = await gateway.call('POST', '/v1/runs', {
      body: { definition: definitionOf(tasks), input: {} },
    });
    return body.id as string;
  };
  const show = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body;
  const reaches = (id: string, status: string) =>
    expect.poll(async () => (await show(id)).status, { timeout: 30_000 }).toBe(status);
  const signal = (id: string, data: unknown, name = 'go') =>
    gateway.call('POST', `/v1/runs/${id}/signals/${name}`, { body: { data } });

  test('a definition is no larger than it may be, stored, submitted or only looked at', async () => {
    const large = definitionOf([{ a: { set: { text: 'x'.repeat(20_000) } } }]);
    const refused = [413, 'definition_too_large'];
    expect(await reasonOf(gateway.call('PUT', '/v1/workflows/test/flow/1.0.0', { body: large }))).toEqual(
      refused,
    );
    expect(await reasonOf(gateway.call('POST', '/v1/runs', { body: { definition: large } }))).toEqual(
      refused,
    );
    expect(await reasonOf(gateway.call('POST', '/v1/workflows:validate', { body: large }))).toEqual(refused);
  });

  test('a tenant stores so many versions; one that no run is of can be deleted, for another', async () => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) expect((await put(version)).status).toBe(201);
    expect(await reasonOf(put('1.3.0'))).toEqual([409, 'too_many_workflows']);
    expect((await put('1.0.0')).status, 'what is stored is no more than it was').toBe(200);
    const foreign = await gateway.deps.createKey({ tenant: 'other', principal: 'tester' });
    const remove = (version: string, key?: string) =>
      gateway.call('DELETE', `/v1/workflows/test/flow/${version}`, { ...(key !== undefined && { key }) });
    expect(await reasonOf(remove('1.2.0', foreign))).toEqual([404, 'workflow_not_found']);
    const { body: run } = await gateway.call('POST', '/v1/runs?wait=20', {
      body: { workflow: 'test/flow@1.1.0', input: {} },
    });
    expect(run.status).toBe('completed');
    expect(await reasonOf(remove('1.1.0'))).toEqual([409, 'workflow_in_use']);
    expect((await remove('1.2.0')).status).toBe(204);
    expect(await reasonOf(remove('1.2.0'))).toEqual([404, 'workflow_not_found']);
    expect(await reasonOf(gateway.call('GET', '/v1/workflows/test/flow/1.2.0'))).toEqual([
      404,
      'workflow_not_found',
    ]);
    expect((await put('1.3.0')).status).toBe(201);
  });

  test('a tenant has so many schedules, and those of documents count', async () => {
    const body = { workflow: { namespace: 'test', name: 'flow', version: '1.0.0' }, cron: '0 3 * * *' };
    const make = (name: string) => gateway.call('PUT', `/v1/schedules/${name}`, { body });
    expect((await make('one')).status).toBe(201);
    expect((await make('two')).status).toBe(201);
    expect(await reasonOf(make('three'))).toEqual([409, 'too_many_schedules']);
    expect((await make('two')).status).toBe(200);
    await gateway.call('DELETE', '/v1/workflows/test/flow/1.0.0');
    expect(await reasonOf(put('2.0.0', { schedule: { every: { hours: 1 } } }))).toEqual([
      409,
      'too_many_schedules',
    ]);
    expect((await gateway.call('GET', '/v1/workflows/test/flow/2.0.0')).status, 'nothing was stored').toBe(
      404,
    );
    expect((await gateway.call('DELETE', '/v1/schedules/one')).status).toBe(204);
    expect((await put('2.0.0', { schedule: { every: { hours: 1 } } })).status).toBe(201);
  });

  test('a run takes so many signals, paused or not, and more when it is granted more', async () => {
    const id = await submit([{ hear: { listen: { to: { one: { with: { type: 'never' } } } } } }]);
    await reaches(id, 'waiting');
    await gateway.call('POST', `/v1/runs/${id}:pause`);
    await reaches(id, 'paused');
    for (let n = 0; n < messages; n++) expect((await signal(id, n)).status).toBe(202);
    expect(await reasonOf(signal(id, 'more'))).toEqual([409, 'too_many_messages']);
    await gateway.call('POST', `/v1/runs/${id}:resume`, { body: { limits: { messages: messages + 1 } } });
    await reaches(id, 'waiting');
    expect((await signal(id, 'granted', 'never')).status).toBe(202);
    await reaches(id, 'completed');
  });

  test('events that nobody takes pause a run that was sent too many; it can be cancelled', async () => {
    const id = await submit([
      { hear: { listen: { to: { one: { with: { type: 'tick', source: 'https://right' } } } } } },
    ]);
    await reaches(id, 'waiting');
    for (let n = 0; n <= messages; n++) {
      const event = { specversion: '1.0', id: `${store}-${n}`, source: 'https://wrong', type: 'tick' };
      expect((await gateway.call('POST', '/v1/events', { body: event })).status).toBe(202);
    }
    await reaches(id, 'paused');
    expect((await show(id)).pause.error).toMatchObject({ reason: 'run_limit_reached' });
    await gateway.call('POST', `/v1/runs/${id}:cancel`);
    await reaches(id, 'cancelled');
  });

  test('a run listens to so many types of events', async () => {
    const kinds = Array.from({ length: messages + 1 }, (_, index) => ({ with: { type: `kind-${index}` } }));
    const id = await submit([{ hear: { listen: { to: { any: kinds } } } }]);
    await reaches(id, 'paused');
    expect((await show(id)).pause.error).toMatchObject({
      reason: 'run_limit_reached',
      instance: '/do/0/hear',
    });
    await gateway.call('POST', `/v1/runs/${id}:terminate`);
  });
}, section);
