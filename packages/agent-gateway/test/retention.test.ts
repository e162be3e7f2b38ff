import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { expect, test } from 'vitest';
import { stores } from './support/both-stores.ts';
import { useStoreConfigs } from './support/each-store.ts';
import { definitionOf, startGateway } from './support/gateway.ts';

const configOf = useStoreConfigs();

test.each(stores)(
  'runs that ended long enough ago are removed, and neither what goes on nor a fork of them (%s)',
  async name => {
    const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(name) });
    const before = await startGateway({ deps });
    const submit = async (tasks: unknown) => {
      const { body } = await before.call('POST', '/v1/runs', { body: { definition: definitionOf(tasks) } });
      return String(body.id);
    };
    const listen = { listen: { to: { one: { with: { type: 'go' } } } } };
    const ended: string[] = [];
    // More than are removed at a time.
    for (let index = 0; index < 45; index++) ended.push(await submit([{ one: { set: { index } } }]));
    const open = await submit([{ one: { set: { a: 1 } } }, { hear: listen }]);
    const status = async (gateway: typeof before, id: string) =>
      (await gateway.call('GET', `/v1/runs/${id}`)).body.status;
    for (const id of ended)
      await expect.poll(() => status(before, id), { timeout: 20_000 }).toBe('completed');
    await expect.poll(() => status(before, open), { timeout: 20_000 }).toBe('waiting');
    const forked = await before.call('POST', `/v1/runs/${open}:fork`, { body: { task: '/do/1/hear' } });
    await before.call('POST', `/v1/runs/${open}:terminate`);
    await expect.poll(() => status(before, open), { timeout: 20_000 }).toBe('terminated');
    await before.close();

    const after = await startGateway({ deps, config: { journal: { keep_ended_ms: 1 } } });
    for (const id of [...ended, open])
      await expect
        .poll(async () => (await after.call('GET', `/v1/runs/${id}`)).body.reason, { timeout: 20_000 })
        .toBe('run_not_found');
    await after.call('POST', `/v1/runs/${forked.body.id}/signals/go`, { body: { data: { n: 1 } } });
    await expect.poll(() => status(after, forked.body.id), { timeout: 20_000 }).toBe('completed');
    await after.close();
    await deps.close();
  },
);

test.each(stores)(
  'a run goes when the retention of its document is over, and one without stays (%s)',
  async name => {
    const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(name) });
    const before = await startGateway({ deps });
    const submit = async (gateway: unknown) => {
      const { document, ...rest } = definitionOf([{ one: { set: { a: 1 } } }]);
      const definition = { document: { ...document, metadata: { gateway } }, ...rest };
      const { body } = await before.call('POST', '/v1/runs?wait=20', { body: { definition } });
      expect(body.status, JSON.stringify(body)).toBe('completed');
      return String(body.id);
    };
    const [short, long] = [await submit({ retention: { milliseconds: 1 } }), await submit({ priority: 5 })];
    await before.close();
    const after = await startGateway({ deps });
    const reason = async (id: string) => (await after.call('GET', `/v1/runs/${id}`)).body.reason;
    await expect.poll(() => reason(short), { timeout: 20_000 }).toBe('run_not_found');
    expect(await reason(long)).toBeUndefined();
    await after.close();
    await deps.close();
  },
);

test.each(stores)(
  'a question goes with its run when it is over, and stays with one that is there (%s)',
  async name => {
    const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(name) });
    const before = await startGateway({ deps });
    const ask = { call: 'human', with: { title: 'Go on?', assignees: ['*'], deadline: 'PT1H' } };
    const submit = async () => {
      const definition = definitionOf([{ ask }]);
      return String((await before.call('POST', '/v1/runs', { body: { definition } })).body.id);
    };
    const ended = await submit();
    const open = await submit();
    const pending = async (gateway: typeof before): Promise<{ id: string; run: string; digest: string }[]> =>
      (await gateway.call('GET', '/v1/approvals')).body.approvals;
    await expect.poll(async () => (await pending(before)).length, { timeout: 20_000 }).toBe(2);
    const asked = await pending(before);
    const of = (run: string) => asked.find(each => each.run === run);
    const decision = { decision: 'approved', digest: of(ended)?.digest };
    await before.call('POST', `/v1/approvals/${of(ended)?.id}:decide`, { body: decision });
    const status = async () => (await before.call('GET', `/v1/runs/${ended}`)).body.status;
    await expect.poll(status, { timeout: 20_000 }).toBe('completed');
    await before.close();

    const after = await startGateway({ deps, config: { journal: { keep_ended_ms: 1 } } });
    await expect
      .poll(async () => (await after.call('GET', `/v1/approvals/${of(ended)?.id}`)).body.reason, {
        timeout: 20_000,
      })
      .toBe('approval_not_found');
    expect(await pending(after)).toMatchObject([{ run: open }]);
    await after.close();
    await deps.close();
  },
);
