import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, expect, test } from 'vitest';
import { type Books, openBooks, sumOf } from './support/books.ts';
import { type GatewayPlaces, openGatewayPlaces } from './support/gateway-processes.ts';
import {
  type MeteredModels,
  meteredConfig,
  meteredRequest,
  numberOf,
  startMeteredModels,
} from './support/metered-models.ts';

/** Three gateway processes under load while what they share goes away and comes back. */

const seed = Number(process.env.STRATA_OUTAGE_SEED ?? Date.now() % 1_000_000);
process.stdout.write(`stores that go away: seed ${seed} (STRATA_OUTAGE_SEED)\n`);
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'strata-outage-'));
const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  for (const server of [redis, postgres]) if (!isMissing(server)) await server.close();
});

/** By status; 0 for a connection that broke. */
type Replies = Map<number, number>;

/** Requests at all gateways, one after another in each lane, until it is told to stop. */
function load(gateways: GatewayPlaces, lanes: number): { replies: Replies; stop(): Promise<void> } {
  const replies: Replies = new Map();
  let isOver = false;
  const all = Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      const place = gateways.places[lane % gateways.places.length] ?? expect.fail();
      while (!isOver) {
        const reply = await place.ask('/v1/chat/completions', meteredRequest(lane));
        const status = reply.type === 'broken' ? 0 : reply.status;
        replies.set(status, (replies.get(status) ?? 0) + 1);
        if (status !== 200) await systemClock.sleep(100);
      }
    }),
  );
  return {
    replies,
    async stop() {
      isOver = true;
      await all;
    },
  };
}

interface Stack {
  readonly gateways: GatewayPlaces;
  readonly models: MeteredModels;
  readonly books: Books;
  close(): Promise<void>;
}

async function openStack(url: string, more: object): Promise<Stack> {
  const books = await openBooks(url, 1_000_000_000_000n);
  const models = await startMeteredModels(random);
  const config = { ...meteredConfig(url, models), ...more };
  const gateways = await openGatewayPlaces({ count: 3, config });
  for (const place of gateways.places) await place.start();
  return {
    gateways,
    models,
    books,
    async close() {
      await gateways.close();
      await models.upstream.close();
      await books.close();
    },
  };
}

/** After a clean stop every whole answer is in the ledger, once and at its cost, and the budget holds just that. */
async function expectBalance({ gateways, models, books }: Stack): Promise<void> {
  expect(await Promise.all(gateways.places.map(place => place.stop()))).toEqual([0, 0, 0]);
  const rows = await books.rows();
  const whole = rows.filter(row => row.usage_source === 'reported');
  const booked = new Map(whole.map(row => [numberOf(row), BigInt(row.cost_nano_usd ?? -1)]));
  expect(booked.size).toBe(whole.length);
  const complete = [...models.calls].filter(([, call]) => call.isComplete);
  expect(booked).toEqual(new Map(complete.map(([number, call]) => [number, call.costNanoUsd])));
  expect(await books.totals()).toMatchObject({
    spentNanoUsd: sumOf(rows.map(row => BigInt(row.cost_nano_usd ?? 0))),
    openNanoUsd: 0n,
    lostNanoUsd: 0n,
  });
}

const limit = { name: 'daily', tenant: 'default', subject: 'organisation:default', unit: 'requests' };

test.skipIf(isMissing(redis))(
  '[I7] [$-3] Redis is killed and started again under load: no more than the documented share passes, and nothing is booked twice',
  async () => {
    if (isMissing(redis)) return;
    const amount = sized({ ci: 400, soak: 6000 });
    const stack = await openStack(`file:${join(folder, 'redis.sqlite')}`, {
      hot: { url: redis.url, command_timeout_ms: 500 },
      limits: [{ ...limit, amount, per: 'day' }],
    });
    try {
      const startedAtMs = Date.now();
      const { replies, stop } = load(stack.gateways, 60);
      const passed = () => replies.get(200) ?? 0;
      await expect.poll(passed, { timeout: 120_000 }).toBeGreaterThan(amount / 3);
      await redis.kill();
      const atKill = passed();
      await expect.poll(passed, { timeout: 120_000 }).toBeGreaterThan(atKill + amount / 10); // each goes on within its share
      await redis.restart();
      // Until all that may pass has passed: nobody is answered for two seconds. What a day's limit gives back meanwhile is one in some seconds.
      for (let before = -1; before < passed(); await systemClock.sleep(2000)) before = passed();
      await stop();
      const refilled = Math.ceil((amount * (Date.now() - startedAtMs)) / 86_400_000);
      expect(passed()).toBeLessThanOrEqual(2 * (amount + refilled));
      expect(passed()).toBeGreaterThan(amount / 2);
      await expectBalance(stack);
      process.stdout.write(`of ${amount} a day ${passed()} passed: ${JSON.stringify([...replies])}\n`);
    } finally {
      await stack.close();
    }
  },
);

test.skipIf(isMissing(postgres))(
  '[$-1] [$-3] [F14] PostgreSQL hangs for 5 s under load: nothing is asked of a model that is not booked, and nothing that was answered is lost',
  async () => {
    if (isMissing(postgres)) return;
    const stack = await openStack(await postgres.createDatabase(), {});
    try {
      const { replies, stop } = load(stack.gateways, 30);
      const passed = () => replies.get(200) ?? 0;
      for (let outage = 0; outage < sized({ ci: 1, soak: 20 }); outage++) {
        const before = passed();
        await expect.poll(passed, { timeout: 120_000 }).toBeGreaterThan(before + 100);
        postgres.pause();
        await systemClock.sleep(5000); // the fault itself: F14 names its length
        postgres.resume();
      }
      const atResume = passed();
      await expect.poll(passed, { timeout: 120_000 }).toBeGreaterThan(atResume + 100);
      await stop();
      await expectBalance(stack);
      process.stdout.write(`${stack.models.calls.size} calls, ${JSON.stringify([...replies])}\n`);
    } finally {
      await stack.close();
    }
  },
);
