import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Effects, startEffects } from './support/effects.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Gateways that share a database: one answers requests, two work; the database is stopped under them. */

const runCount = sized({ ci: 60, soak: 5000 });
const lanes = sized({ ci: 6, soak: 50 });
const pauseMs = sized({ ci: 20, soak: 2000 });
/** How long the database is left alone before it is disturbed again. */
const quietMs = { least: sized({ ci: 300, soak: 5000 }), most: sized({ ci: 600, soak: 20_000 }) };
const longestHangMs = sized({ ci: 300, soak: 5000 });
const seed = Number(process.env.STRATA_CHAOS_SEED ?? Date.now() % 1_000_000);
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
    { pause: { wait: { milliseconds: pauseMs } } },
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
    await sleep(50); // the database is away
  }
}

async function ended(id: string) {
  const giveUpAt = Date.now() + 120_000;
  for (;;) {
    const { status, body } = await http.call('GET', `/v1/runs/${id}`);
    if ((status === 200 && body.ended_at !== undefined) || Date.now() > giveUpAt) return body;
    await sleep(50);
  }
}

test('[AG-4] a run that one process takes in is worked on by another', async () => {
  const body = await ended(await submit(3));
  expect(body).toMatchObject({ status: 'completed', output: { sum: 26 } });
});

/** Kills the server or makes it hang, by turns of chance, until the runs are through; gives how often. */
async function disturb(isOver: () => boolean): Promise<number> {
  const random = seededRandom(seed);
  let times = 0;
  for (; !isOver(); times++) {
    await sleep(quietMs.least + random() * (quietMs.most - quietMs.least));
    if (random() < 0.5) await postgres.server.restart();
    else {
      postgres.server.pause();
      await sleep(random() * longestHangMs);
      postgres.server.resume();
    }
  }
  return times;
}

test(`[F74] [AG-1] the database is killed and made to hang again and again during ${runCount} runs: every run ends with the exact result, no effect is repeated after its end (seed ${seed})`, async () => {
  const runs = Array.from({ length: runCount }, (_, index) => index + 10);
  let isOver = false;
  const chaos = disturb(() => isOver);
  const inLane = async (_: unknown, lane: number) => {
    const results: [number, { id: string }][] = [];
    for (let at = lane; at < runs.length; at += lanes) {
      const n = runs[at] ?? 0;
      results.push([n, await ended(await submit(n))]);
    }
    return results;
  };
  const results = (await Promise.all(Array.from({ length: lanes }, inLane))).flat();
  isOver = true;
  const disturbances = await chaos;
  expect(disturbances).toBeGreaterThan(1);
  expect(results).toHaveLength(runs.length);
  for (const [n, body] of results)
    expect(body, `run ${n}`).toMatchObject({ status: 'completed', output: { sum: 8 * n + 2 } });
  for (const [, { id }] of results) await checkEffects(id);
}, 1_800_000);

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
