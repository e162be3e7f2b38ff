import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Effects, startEffects } from './support/effects.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Gateways that share a database: one answers requests, two work; the database is stopped under them. */

let postgres: TestPostgres;
let effects: Effects;
let http: TestGateway;
let workers: TestGateway[];

beforeAll(async () => {
  postgres = await openTestPostgres();
  effects = await startEffects({ maxDelayMs: 10, random: Math.random });
  const url = await postgres.server.createDatabase();
  const store = { url, acquire_timeout_ms: 5000 };
  const start = async (role: string) =>
    startGateway({
      deps: await createTestDeps({ name: 'agent-gateway', config: { store } }),
      config: { role, engine: { first_retry_ms: 20, stop_ms: 500, lease_ms: 15_000, heartbeat_ms: 1000 } },
    });
  http = await start('http');
  workers = await Promise.all([start('worker'), start('worker')]);
});
afterAll(async () => {
  for (const gateway of [http, ...workers]) {
    await gateway.close();
    await gateway.deps.close();
  }
  await effects.close();
  await postgres.close();
});

const effect = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: `${effects.url}/effect`, body: { n } },
  metadata: { gateway: { onInDoubt: 'retry' } },
});

const workflow = () =>
  definitionOf([
    { one: effect('${ .n }') },
    {
      both: {
        fork: { branches: [{ left: effect('${ .doubled }') }, { right: effect('${ .doubled + 1 }') }] },
      },
    },
    { pause: { wait: { milliseconds: 20 } } },
    { finish: { set: { sum: '${ .[0].doubled + .[1].doubled }' } } },
  ]);

async function submit(n: number): Promise<string> {
  for (;;) {
    const { status, body } = await http.call('POST', '/v1/runs', {
      body: { definition: workflow(), input: { n } },
      headers: { 'idempotency-key': `run-${n}` },
    });
    if (status < 300) return body.id;
    if (status < 500) throw new Error(JSON.stringify(body));
    await new Promise(resolve => setTimeout(resolve, 50)); // the database is away
  }
}

async function ended(id: string) {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    const { status, body } = await http.call('GET', `/v1/runs/${id}`);
    if ((status === 200 && body.ended_at !== undefined) || Date.now() > giveUpAt) return body;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

test('[AG-4] a run that one process takes in is worked on by another', async () => {
  const body = await ended(await submit(3));
  expect(body).toMatchObject({ status: 'completed', output: { sum: 26 } });
});

test('[F74] [AG-1] the database is killed again and again: every run ends with the exact result, no effect is repeated after its end', async () => {
  const runs = Array.from({ length: Number(process.env.STRATA_CHAOS_RUNS ?? 120) }, (_, index) => index + 10);
  const restarts = Number(process.env.STRATA_CHAOS_RESTARTS ?? 4);
  let isOver = false;
  const chaos = (async () => {
    for (let restart = 0; restart < restarts && !isOver; restart++) {
      await new Promise(resolve => setTimeout(resolve, 400));
      await postgres.server.restart();
    }
  })();
  const lanes = Array.from({ length: 6 }, async (_, lane) => {
    const results: unknown[] = [];
    for (let at = lane; at < runs.length; at += 6) {
      const n = runs[at] ?? 0;
      results.push([n, await ended(await submit(n))]);
    }
    return results as [number, { id: string; status: string; output: unknown }][];
  });
  const results = (await Promise.all(lanes)).flat();
  isOver = true;
  await chaos;
  expect(results).toHaveLength(runs.length);
  for (const [n, body] of results)
    expect(body, `run ${n}`).toMatchObject({ status: 'completed', output: { sum: 8 * n + 2 } });
  for (const [, { id }] of results) await checkEffects(id);
}, 180_000);

/** Every request that arrived had been announced in the journal before, and every call has ended once. */
async function checkEffects(id: string): Promise<void> {
  const { body } = await http.call('GET', `/v1/runs/${id}/events`);
  const started = new Map<string, number>();
  const ends = new Map<string, number>();
  for (const line of (body as string).split('\n').filter(each => each.startsWith('data: '))) {
    const { type, key, task, visit } = JSON.parse(line.slice(6));
    const counts = type === 'call-started' ? started : ends;
    const name = type === 'call-started' ? key : `${task}#${visit}`;
    if (type === 'call-started' || type === 'call-completed') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect([...ends.values()]).toEqual([1, 1, 1]);
  for (const [key, times] of started) expect(effects.byKey.get(key) ?? 0).toBeLessThanOrEqual(times);
}
