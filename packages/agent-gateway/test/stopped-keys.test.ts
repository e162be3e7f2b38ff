import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

/** A key that was stopped does nothing more by way of what it left behind: runs that sleep, schedules. */

const opened: { close(): Promise<void> }[] = [];
let deps: TestDeps;
let gateway: TestGateway;
let farEnd: FarEnd;
let key: string;
beforeEach(async () => {
  deps = await createTestDeps({ name: 'agent-gateway' });
  farEnd = await startFarEnd((_request, response) => void response.end('{}'));
  opened.push(deps, farEnd);
  gateway = await startGateway({ deps });
  opened.push(gateway);
  key = await deps.createKey({ principal: 'ada' });
});
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function stop(): Promise<void> {
  const [made] = await deps.keys.list({ tenant: 'default', principal: 'ada', limit: 1 });
  await deps.keys.disable(made?.id ?? '');
  await expect
    .poll(async () => (await gateway.call('GET', '/v1/runs', { key })).status, { timeout: 20_000 })
    .toBe(401);
}

test('[A12] a run that slept when its key was stopped calls nobody when it wakes up', async () => {
  const definition = definitionOf([
    { rest: { listen: { to: { one: { with: { type: 'go' } } } } } },
    { tell: { call: 'http', with: { method: 'get', endpoint: farEnd.url } } },
  ]);
  const { body } = await gateway.call('POST', '/v1/runs', { body: { definition, input: {} }, key });
  const run = async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body;
  await expect.poll(async () => (await run()).status, { timeout: 20_000 }).toBe('waiting');
  await stop();
  await gateway.call('POST', `/v1/runs/${body.id}/signals/go`, { body: {} });
  await expect
    .poll(run, { timeout: 20_000 })
    .toMatchObject({ status: 'failed', error: { reason: 'key_revoked' } });
  expect(farEnd.received).toEqual([]);
});

test('[A12] a schedule of a key that was stopped starts nothing and is paused; who resumes it is told why it stays so', async () => {
  const document = { dsl: '1.0.3', namespace: 'test', name: 'tick', version: '1.0.0' };
  const tick = definitionOf([{ one: { set: { a: 1 } } }], { document });
  await gateway.call('PUT', '/v1/workflows/test/tick/1.0.0', { body: tick, key });
  const workflow = { namespace: 'test', name: 'tick', version: '1.0.0' };
  const body = { workflow, every: { seconds: 1 } };
  expect((await gateway.call('PUT', '/v1/schedules/tick', { body, key })).status).toBe(201);
  await stop();
  const paused = async () => (await gateway.call('GET', '/v1/schedules/tick')).body.paused;
  await expect.poll(paused, { timeout: 30_000 }).toBe(true);
  const ran = (await gateway.call('GET', '/v1/runs')).body.runs;
  for (const verb of ['resume', 'trigger']) {
    const refused = await gateway.call('POST', `/v1/schedules/tick:${verb}`, { body: {} });
    expect([refused.status, refused.body.reason]).toEqual([409, 'schedule_owner_stopped']);
  }
  expect(await paused()).toBe(true);
  expect((await gateway.call('GET', '/v1/runs')).body.runs).toEqual(ran);
  const again = { workflow, every: { hours: 1 } };
  expect((await gateway.call('PUT', '/v1/schedules/tick', { body: again })).body.paused).toBe(false);
});
