import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { reconcileLost } from '@strata/shared/testing/reconcile-lost.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, expect, test } from 'vitest';
import { type Books, budgetId, openBooks, sumOf } from './support/books.ts';
import { type GatewayPlace, openGatewayPlaces } from './support/gateway-processes.ts';
import {
  type MeteredModels,
  meteredConfig,
  meteredRequest,
  numberOf,
  startMeteredModels,
  worstNanoUsd,
} from './support/metered-models.ts';

/** Three gateway processes with a thousand requests at once on a budget that is nearly empty all the time, killed at random moments. */

const seed = Number(process.env.STRATA_KILL_SEED ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
process.stdout.write(`gateways killed: seed ${seed} (STRATA_KILL_SEED)\n`);
/** On each of two stores. */
const rounds = sized({ ci: 3, soak: 30 });
const lanes = 1000;
const requestsOfLane = 2;
/** What is put into the budget before each round: far less than a thousand requests may cost. */
const refillNanoUsd = 150n * worstNanoUsd;

const folder = mkdtempSync(join(tmpdir(), 'strata-gateway-spend-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  if (!isMissing(postgres)) await postgres.close();
});

interface Counts {
  answered: number;
  refused: number;
  other: number;
  broken: number;
}

/** All lanes at once; each goes on until it is not answered. */
async function ask(places: readonly GatewayPlace[], counts: Counts): Promise<void> {
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      const place = places[lane % places.length] ?? expect.fail();
      for (let asked = 0; asked < requestsOfLane; asked++) {
        const reply = await place.ask('/v1/chat/completions', meteredRequest(lane));
        if (reply.type === 'broken') counts.broken++;
        else if (reply.status === 200) counts.answered++;
        else if (reply.status === 402) counts.refused++;
        else counts.other++;
        if (reply.type === 'broken' || reply.status !== 200) return;
      }
    }),
  );
}

/** Looks again and again, until told to stop. Resolves with how often it has looked. */
function watch(books: Books): () => Promise<number> {
  let isWatching = true;
  const watching = (async () => {
    let observations = 0;
    for (; isWatching; observations++) {
      const { limitNanoUsd, spentNanoUsd, openNanoUsd, lostNanoUsd } = await books.totals();
      expect(spentNanoUsd + openNanoUsd + lostNanoUsd <= limitNanoUsd).toBe(true);
      await systemClock.sleep(20);
    }
    return observations;
  })();
  return () => {
    isWatching = false;
    return watching;
  };
}

async function refill(books: Books): Promise<void> {
  const { spentNanoUsd, openNanoUsd, lostNanoUsd } = await books.totals();
  const limitNanoUsd = spentNanoUsd + openNanoUsd + lostNanoUsd + refillNanoUsd;
  await books.store.update(budgetId, { limitNanoUsd });
}

async function spendAndKill(url: string): Promise<void> {
  const books = await openBooks(url, 1n);
  const models = await startMeteredModels(random);
  const gateways = await openGatewayPlaces({
    count: 3,
    config: meteredConfig(url, models),
    // By its key the upstream knows who calls.
    environmentOf: name => ({ STRATA_AI_GATEWAY__PROVIDERS__MAIN__API_KEY: name }),
  });
  const { places } = gateways;
  const counts: Counts = { answered: 0, refused: 0, other: 0, broken: 0 };
  const killed = new Set<string>();
  const stopWatching = watch(books);
  try {
    for (const place of places) await place.start();
    for (let round = 0; round < rounds; round++) {
      await refill(books);
      const callsBefore = models.calls.size;
      const asking = ask(places, counts);
      const victim = places[Math.floor(random() * places.length)] ?? expect.fail();
      await expect.poll(() => models.calls.size, { timeout: 60_000 }).toBeGreaterThan(callsBefore + 30);
      await systemClock.sleep(random() * 300);
      killed.add(victim.name);
      await victim.kill();
      await asking;
      await victim.start();
    }
    expect(await Promise.all(places.map(place => place.stop()))).toEqual([0, 0, 0]);
    const observations = await stopWatching();
    await balance(books, models, killed);
    process.stdout.write(
      `${models.calls.size} calls charged, ${killed.size} gateways killed, ${observations} observations, ${JSON.stringify(counts)}\n`,
    );
  } finally {
    await stopWatching();
    await gateways.close();
    await models.upstream.close();
    await books.close();
  }
}

/** Holds ledger, budget and the upstream's meter against one another, before and after what was lost is reconciled. */
async function balance(books: Books, { calls }: MeteredModels, killed: ReadonlySet<string>): Promise<void> {
  // What the dead held counts as spent.
  await books.store.reap(systemClock.now() + 3_600_000);
  const before = await books.totals();
  expect(before.openNanoUsd).toBe(0n);

  // Every entry of a whole answer is one call, at its cost; none is booked twice.
  const rows = await books.rows();
  const whole = rows.filter(row => row.usage_source === 'reported');
  const booked = new Map(whole.map(row => [numberOf(row), BigInt(row.cost_nano_usd ?? -1)]));
  expect(booked.size).toBe(whole.length);
  for (const [number, cost] of booked) expect(cost).toBe(calls.get(number)?.costNanoUsd);
  expect(before.spentNanoUsd).toBe(sumOf(rows.map(row => BigInt(row.cost_nano_usd ?? 0))));

  // The ledger misses only what the dead had under way, and that is less than what they held.
  const missing = [...calls].filter(([number, call]) => call.isComplete && !booked.has(number));
  expect(missing.filter(([, call]) => !killed.has(call.caller))).toEqual([]);
  const cut = [...calls.values()].filter(call => !call.isComplete);
  const cutByTheDead = cut.filter(call => killed.has(call.caller)).map(call => call.costNanoUsd);
  const missingNanoUsd = sumOf(missing.map(([, call]) => call.costNanoUsd));
  expect(missingNanoUsd <= before.lostNanoUsd).toBe(true);
  // What broke off in the middle is booked by estimate, at no less than what was charged.
  const estimated = rows.filter(row => row.usage_source === 'estimated');
  expect(estimated.length >= cut.length - cutByTheDead.length).toBe(true);
  const cutNanoUsd = sumOf(cut.map(call => call.costNanoUsd));
  const estimatedNanoUsd = sumOf(estimated.map(row => BigInt(row.cost_nano_usd ?? 0)));
  expect(cutNanoUsd <= estimatedNanoUsd + sumOf(cutByTheDead)).toBe(true);
  // So the upstream has charged no more than the budget.
  expect(sumOf([...calls.values()].map(call => call.costNanoUsd)) <= before.limitNanoUsd).toBe(true);

  // Reconciled with the meter, all three agree on every whole answer.
  const entries = missing.map(([number, call]) => ({
    ...reconciledEntry,
    id: `reconciled_${number}`,
    costNanoUsd: call.costNanoUsd,
    atMs: systemClock.now(),
  }));
  expect(await reconcileLost(books, budgetId, entries)).toBe(0n);
  const complete = [...calls.values()].filter(call => call.isComplete).map(call => call.costNanoUsd);
  const ledgerNanoUsd = sumOf((await books.rows()).map(row => BigInt(row.cost_nano_usd ?? 0)));
  expect(ledgerNanoUsd - estimatedNanoUsd).toBe(sumOf(complete));
  expect(await books.totals()).toMatchObject({ spentNanoUsd: ledgerNanoUsd, openNanoUsd: 0n });
}

const reconciledEntry = {
  durationMs: 0,
  gateway: 'ai-gateway' as const,
  tenant: 'default',
  principal: 'reconciled',
  keyId: undefined,
  runId: undefined,
  taskId: undefined,
  alias: 'metered',
  provider: 'main',
  model: 'metered',
  outcome: 'answered',
  usage: undefined,
  usageSource: 'reconciled',
  priceVersion: 'test',
};

test('[$-1] [$-3] [I3] [I4] [F46] [F47] SQLite: gateways that are killed under load never overspend, and after reconciliation ledger, budget and meter agree', () =>
  spendAndKill(`file:${join(folder, 'spend.sqlite')}`));

test.skipIf(isMissing(postgres))(
  '[$-1] [$-3] [I3] [I4] [F46] [F47] PostgreSQL: gateways that are killed under load never overspend, and after reconciliation ledger, budget and meter agree',
  async () => {
    if (!isMissing(postgres)) await spendAndKill(await postgres.createDatabase());
  },
);
