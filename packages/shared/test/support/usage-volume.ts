import type { MoneySchema } from '@strata/shared/money/money-schema.ts';
import { type LedgerEntry, toLedgerRow } from '@strata/shared/money/usage-entry.ts';
import { addToRollups, dayMs } from '@strata/shared/money/usage-rollups.ts';
import { RowInsert } from '@strata/shared/stores/row-insert.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';

/** Two months of one organisation: September and October 2026. */
export const volumeStartMs = Date.UTC(2026, 8, 1);
export const volumeDays = 61;
const peopleOfTeam = 40;
/** Of a hundred entries, so many are calls of an agent's run. A run is somebody's, makes about twenty and uses two models. */
const inRuns = 20;
const callsOfRun = 20;

const teams = ['support', 'sales', 'research', 'platform', 'legal', 'finance'];
const tagLists: readonly (readonly string[])[] = [[], ['production'], ['batch', 'night']];
const models = [
  ['anthropic', 'claude-sonnet-5'],
  ['anthropic', 'claude-haiku-5'],
  ['openai', 'gpt-5-mini'],
  ['google', 'gemini-3-pro'],
] as const;

/** What is used in one day, in the order of time, the same for the same `day` and `count`. */
export function* entriesOfDay(day: number, count: number): Generator<LedgerEntry> {
  const random = seededRandom(20261127 + day);
  const below = (limit: number) => Math.floor(random() * limit);
  const at = <Item>(items: readonly Item[], index: number): Item => items[index % items.length] as Item; // never empty
  const pick = <Item>(items: readonly Item[]): Item => at(items, below(items.length));
  for (let index = 0; index < count; index++) {
    const run = Math.floor((index * inRuns) / (100 * callsOfRun));
    const isOfRun = below(100) < inRuns;
    const team = isOfRun ? at(teams, run) : pick(teams);
    const [provider, model] = isOfRun ? at(models, run + below(2)) : pick(models);
    const person = isOfRun ? run % peopleOfTeam : below(peopleOfTeam);
    yield {
      id: `att_${String(day).padStart(4, '0')}${String(index).padStart(9, '0')}`, // ids sort by time, as real ones do
      atMs: volumeStartMs + day * dayMs + Math.floor((index * dayMs) / count),
      durationMs: 800,
      gateway: 'ai-gateway',
      tenant: 'acme',
      team,
      project: `${team}-main`,
      principal: `user:${team}-${person}`,
      keyId: `key_${team}_${person}`,
      tags: pick(tagLists),
      runId: isOfRun ? `run_${day}_${run}` : undefined,
      taskId: isOfRun ? `task_${index}` : undefined,
      alias: 'chat',
      provider,
      model,
      outcome: 'answered',
      usage: { input: 1000, cacheRead: 100, cacheWrite: 0, cacheWrite1h: 0, output: 200, reasoning: 50 },
      usageSource: 'reported',
      costNanoUsd: below(50) === 0 ? undefined : BigInt(1 + below(5_000_000)),
      priceVersion: 'test',
    };
  }
}

const rows = new RowInsert<MoneySchema, MoneySchema['usage_ledger']>((transaction, values) =>
  transaction.insertInto('usage_ledger').values(values),
);

/** Stores entries as the ledger does, but adds up the sums once for all of them: the ledger does it every 200 ms. */
export async function load(store: SqlStore<MoneySchema>, entries: readonly LedgerEntry[]): Promise<void> {
  await store.db.transaction().execute(async transaction => {
    await rows.execute(transaction, entries.map(toLedgerRow));
    await addToRollups(transaction, entries);
  });
}
