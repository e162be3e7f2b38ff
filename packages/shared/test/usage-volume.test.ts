import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { type LedgerEntry, toLedgerRow } from '@strata/shared/money/usage-entry.ts';
import { reportUsage } from '@strata/shared/money/usage-report.ts';
import { addToRollups } from '@strata/shared/money/usage-rollups.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'strata-volume-'));
afterAll(() => rmSync(folder, { recursive: true }));

const entries = sized({ ci: 20_000, soak: 10_000_000 });
/** A question over a month takes no longer than this, however many entries there are. Generous in CI, whose machine does other things. */
const maxMs = sized({ ci: 1000, soak: 200 });
const days = 60;
const start = Date.UTC(2026, 8, 1);
const dayMs = 86_400_000;
const batchSize = 500;

const random = seededRandom(20261127);
const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item; // never empty

const teams = ['support', 'sales', 'research', 'platform', 'legal', 'finance'];
const models = [
  ['anthropic', 'claude-sonnet-5'],
  ['anthropic', 'claude-haiku-5'],
  ['openai', 'gpt-5-mini'],
  ['google', 'gemini-3-pro'],
] as const;

function entryOf(index: number): LedgerEntry {
  const team = pick(teams);
  const [provider, model] = pick(models);
  const person = Math.floor(random() * 40);
  return {
    id: `att_${index}`,
    atMs: start + Math.floor(random() * days * dayMs),
    durationMs: 800,
    gateway: 'ai-gateway',
    tenant: 'acme',
    team,
    project: `${team}-main`,
    principal: `user:${team}-${person}`,
    keyId: `key_${team}_${person}`,
    tags: [],
    runId: undefined,
    taskId: undefined,
    alias: 'chat',
    provider,
    model,
    outcome: 'answered',
    usage: { input: 1000, cacheRead: 100, cacheWrite: 0, cacheWrite1h: 0, output: 200, reasoning: 50 },
    usageSource: 'reported',
    costNanoUsd: BigInt(1 + Math.floor(random() * 5_000_000)),
    priceVersion: 'test',
  };
}

test(`[$-3] what a team spent on a family of models last month is answered at once, and exactly, from ${entries} entries`, async () => {
  const store = await openSqlStore<MoneySchema>({
    url: `file:${join(folder, 'volume.sqlite')}`,
    config: storeSection.parse({}),
    migrations: [moneyMigrations],
    clock: systemClock,
  });
  const [fromMs, toMs] = [Date.UTC(2026, 8, 1), Date.UTC(2026, 9, 1)];
  let expected = 0n;
  const commitEvery = 100;
  let index = 0;
  while (index < entries) {
    await store.db.transaction().execute(async transaction => {
      for (let batches = 0; batches < commitEvery && index < entries; batches++) {
        const batch = Array.from({ length: Math.min(batchSize, entries - index) }, () => entryOf(index++));
        await transaction.insertInto('usage_ledger').values(batch.map(toLedgerRow)).execute();
        await addToRollups(transaction, batch);
        for (const { team, model, atMs, costNanoUsd = 0n } of batch) {
          if (team === 'support' && model.startsWith('claude') && atMs >= fromMs && atMs < toMs)
            expected += costNanoUsd;
        }
      }
    });
  }
  const ask = () =>
    reportUsage(store, {
      by: ['model'],
      tenant: 'acme',
      where: { team: 'support', model: 'claude*' },
      fromMs,
      toMs,
    });
  await ask(); // the file's pages are in memory
  const times: number[] = [];
  let totals = await ask();
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    totals = await ask();
    times.push(performance.now() - began);
  }
  expect(totals.map(total => total.groups[0]).sort()).toEqual(['claude-haiku-5', 'claude-sonnet-5']);
  expect(totals.reduce((sum, total) => sum + total.costNanoUsd, 0n)).toBe(expected);
  const fastest = Math.min(...times);
  process.stdout.write(`${entries} entries: ${fastest.toFixed(1)} ms\n`);
  expect(fastest).toBeLessThan(maxMs);
  await store.close();
});
