import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, type RunningGateway, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';
import { chatEvents } from './recordings.ts';

/** What is left in the books of clients that leave, in whatever phase and order. */

let upstream: FakeUpstream;
let silent: Server;
let gateway: RunningGateway;
const prices = { input: '1', output: '2', cache_read: '0.1' };

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  silent = createServer(socket => socket.on('error', () => {}).resume()); // never says a word of TLS
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number }; // it listens on a port
  const account = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  const model = (provider: string) => ({ targets: [{ provider, model: 'm', prices }] });
  gateway = await startGateway({
    keepsRecords: false,
    // Enough for two that are under way: what stayed set aside would be missed at once.
    shared: {
      budgets: [
        { name: 'all', tenant: 'acme', subject: 'organisation:acme', window: 'total', limit_usd: '0.6' },
      ],
    },
    section: {
      providers: {
        main: { ...account, base_url: `${upstream.url}/v1` },
        silent: { ...account, base_url: `https://127.0.0.1:${port}/v1` },
      },
      models: { chat: model('main'), silent: model('silent') },
      attempts: { max_wait_ms: 60_000 },
      breaker: { failures: 1000 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  silent.close();
  await upstream.close();
});

const json = { op: 'headers', headers: { 'content-type': 'application/json' } } as const;
const half = { op: 'write', bytes: '{"a":' } as const;
const stall = { op: 'stall' } as const;

/** Where the upstream falls silent. */
const plans: readonly Plan[] = [
  [stall],
  [{ op: 'raw', bytes: 'HTTP/1.1 200 OK\r\ncontent-' }, stall],
  [json, half, stall],
  [{ op: 'status', status: 500 }, json, half, stall],
  ...chatEvents.map(
    (_, index): Plan => [
      eventStreamHead,
      { op: 'write', bytes: chatEvents.slice(0, index + 1).join('') },
      stall,
    ],
  ),
];

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve));
}

const entries = () => gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();

type Phase = () => Promise<{ client: RawClient; rows: number; isGone(): Promise<unknown> }>;

const phases: readonly Phase[] = [
  ...plans.map(
    (plan): Phase =>
      async () => {
        upstream.use(plan);
        const exchange = upstream.requests.length + 1;
        const client = new RawClient(gateway);
        client.send(chatRequest({ stream: true }));
        await upstream.requestReceived(exchange);
        await turns();
        return { client, rows: 1, isGone: () => upstream.closed(exchange) };
      },
  ),
  async () => {
    const connected = once(silent, 'connection');
    const client = new RawClient(gateway);
    client.send(chatRequest({ model: 'silent' }));
    const [connecting] = await connected;
    return { client, rows: 1, isGone: () => once(connecting, 'close') };
  },
  async () => {
    upstream.use(jsonPlan({ error: {} }, { status: 503, headers: { 'retry-after': '30' } }));
    const exchange = upstream.requests.length + 1;
    const client = new RawClient(gateway);
    client.send(chatRequest());
    await upstream.closed(exchange);
    await turns(); // it waits for its second attempt
    return { client, rows: 1, isGone: turns };
  },
  async () => {
    const client = new RawClient(gateway);
    client.socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{',
    );
    await once(client.socket, 'connect');
    await turns();
    return { client, rows: 0, isGone: turns };
  },
];

test('[I10] [$-1] [F43] clients that leave in any phase and order: each attempt is booked once, nothing stays set aside', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`seed ${seed}`); // also where it is cut off by its time
  const random = seededRandom(seed);
  const order = [...phases, ...phases].toSorted(() => random() - 0.5);
  let rows = 0;
  for (const phase of order) {
    const left = await phase();
    rows += left.rows;
    const gone = left.isGone();
    left.client.socket[random() < 0.5 ? 'resetAndDestroy' : 'destroy']();
    await gone;
  }
  await expect
    .poll(
      async () => {
        await gateway.deps.ledger.flush();
        return (await entries()).length;
      },
      { timeout: 20_000, message: `seed ${seed}` },
    )
    .toBe(rows);
  const booked = await entries();
  expect(new Set(booked.map(({ id }) => id)).size, `seed ${seed}`).toBe(rows);
  expect(new Set(booked.map(({ outcome }) => outcome)), `seed ${seed}`).toEqual(
    new Set(['cancelled', 'failed']),
  );
  const costs = booked.reduce((sum, { cost_nano_usd: cost }) => sum + BigInt(cost ?? 0), 0n);
  const totals = await gateway.deps.budgets.store.totals('config:all');
  expect(totals, `seed ${seed}`).toMatchObject({ spentNanoUsd: costs, lostNanoUsd: 0n });
});
