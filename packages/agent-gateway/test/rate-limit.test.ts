import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { startModel } from './support/model.ts';

/** What one key, or one team, may ask of the gateway in a time and at a time. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function start(limits: readonly object[], config: object = {}): Promise<TestGateway> {
  const written = limits.map((limit, index) => ({ name: `l${index}`, per: 'day', ...limit }));
  const deps = await createTestDeps({ name: 'agent-gateway', config: { limits: written } });
  opened.push(deps);
  const gateway = await startGateway({ deps, config: { ...config } });
  opened.push(gateway);
  return gateway;
}

const definition = definitionOf([{ one: { set: { a: 1 } } }]);
const submit = (gateway: TestGateway, more: { key?: string; wait?: number } = {}) =>
  gateway.call('POST', `/v1/runs?wait=${more.wait ?? 20}`, {
    body: { definition, input: {} },
    ...(more.key !== undefined && { key: more.key }),
  });
const runsOf = async (gateway: TestGateway) => (await gateway.call('GET', '/v1/runs')).body.runs.length;

test('[I7] every answer tells what is left, and a refusal when to come back; a refused submission is no run', async () => {
  const gateway = await start([{ subject: 'key:*', unit: 'runs', amount: 2 }]);
  const first = await submit(gateway);
  expect(first.status).toBe(200);
  expect(first.headers.get('ratelimit-policy')).toBe('"l0";q=2;w=86400;qu="runs"');
  expect(first.headers.get('ratelimit')).toMatch(/^"l0";r=1;t=43[12]\d\d$/);
  const fork = await gateway.call('POST', `/v1/runs/${first.body.id}:fork`, { body: { task: '/do/0/one' } });
  expect(fork.status).toBeLessThan(300);
  const refused = await submit(gateway);
  expect([refused.status, refused.body.reason, refused.body.limit]).toEqual([
    429,
    'rate_limit_exceeded',
    'l0',
  ]);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(40_000);
  expect(refused.headers.get('ratelimit')).toMatch(/^"l0";r=0;/);
  expect(await runsOf(gateway)).toBe(2);
  // Another key has its own, and what starts no run goes on.
  expect((await submit(gateway, { key: await gateway.deps.createKey() })).status).toBe(200);
  expect((await gateway.call('POST', '/v1/workflows:validate', { body: definition })).status).toBe(200);
});

test('[I7] requests are counted for the team; a refused one counts nowhere, and reading is free', async () => {
  const gateway = await start([
    { subject: 'team:default', unit: 'requests', amount: 3 },
    { subject: 'key:*', unit: 'runs', amount: 1 },
  ]);
  expect((await submit(gateway)).status).toBe(200);
  for (let time = 0; time < 5; time++) expect((await submit(gateway)).body.limit).toBe('l1');
  // Of the three requests of the team one was used: the five that were refused took none.
  const other = await gateway.deps.createKey();
  expect((await submit(gateway, { key: other })).status).toBe(200);
  expect((await gateway.call('POST', '/v1/workflows:validate', { body: definition })).status).toBe(200);
  const last = await gateway.call('POST', '/v1/workflows:validate', { body: definition });
  expect([last.status, last.body.limit]).toEqual([429, 'l0']);
  expect((await gateway.call('GET', '/v1/runs')).status).toBe(200);
});

test('[I7] two gateways that share a Redis count together', async () => {
  const redis = await startRedis();
  if ('missing' in redis) throw new Error(redis.missing);
  opened.push(redis);
  const hot = { url: redis.url, command_timeout_ms: 5000 };
  const limits = [{ name: 'l0', per: 'day', subject: 'key:*', unit: 'runs', amount: 3 }];
  const dataDir = mkdtempSync(join(tmpdir(), 'strata-limits-'));
  opened.push({ close: async () => rmSync(dataDir, { recursive: true, force: true }) });
  const replica = async () => {
    const deps = await createTestDeps({ name: 'agent-gateway', dataDir, config: { limits, hot } });
    opened.push(deps);
    const gateway = await startGateway({ deps });
    opened.push(gateway);
    return gateway;
  };
  const [first, second] = [await replica(), await replica()];
  const key = first.deps.userKey;
  const statuses: number[] = [];
  for (const gateway of [first, second, first, second, first])
    statuses.push((await submit(gateway, { key })).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  // Another key has its own, at either.
  expect((await submit(second)).status).toBe(200);
  expect((await submit(first, { key: second.deps.userKey })).status).toBe(200);
});

test('[I7] whoever waits for a run takes no place from it; the place of an answered request is free', async () => {
  const release = Promise.withResolvers<void>();
  const model = await startModel(async () => {
    await release.promise;
    return { say: 'done' };
  });
  opened.push(model);
  const gateway = await start([{ subject: 'key:*', unit: 'concurrency', amount: 1 }], {
    ai_gateway: model.url,
  });
  const slow = definitionOf([{ ask: { call: 'agent', with: { agent: 'a', model: 'demo', input: 'x' } } }]);
  const waiting = gateway.call('POST', '/v1/runs?wait=60', { body: { definition: slow, input: {} } });
  await expect.poll(() => model.received.length, { timeout: 20_000 }).toBe(1);
  for (let time = 0; time < 3; time++) expect((await submit(gateway)).status).toBe(200);
  release.resolve();
  expect((await waiting).body.status).toBe('completed');
});
