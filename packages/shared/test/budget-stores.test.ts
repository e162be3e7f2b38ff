import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@strata/shared/clock.ts';
import { createMemoryBudgetStore } from '@strata/shared/money/memory-budget-store.ts';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { createSqlBudgetStore } from '@strata/shared/money/sql-budget-store.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import {
  allBudgetIds,
  type Beliefs,
  type BudgetCommand,
  baseBudgets,
  budgetCommand,
  contractLimit,
  contractWindows,
  runBudgetCommand,
} from './contracts/budget-commands.ts';
import { budgetContract, budgetOf, type OpenBudgets } from './contracts/budget-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-budgets-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

async function openSql(url: string, clock: Clock): Promise<OpenBudgets> {
  const sql = await openSqlStore<MoneySchema>({
    url,
    config: storeSection.parse({ acquire_timeout_ms: 10_000 }),
    migrations: [moneyMigrations],
    clock,
  });
  return { store: createSqlBudgetStore(sql, clock), close: () => sql.close() };
}

let files = 0;
const openSqlite = (clock: Clock) => openSql(`file:${join(folder, `${++files}.sqlite`)}`, clock);
const openPostgres = async (clock: Clock) =>
  openSql(isMissing(postgres) ? '' : await postgres.createDatabase(), clock);
const openMemory = async (clock: Clock): Promise<OpenBudgets> => ({
  store: createMemoryBudgetStore(clock),
  close: async () => {},
});

budgetContract('memory', openMemory);
budgetContract('SQLite', openSqlite);
if (isMissing(postgres)) test.skip(`PostgreSQL as a budget store: ${postgres.missing}`, () => {});
else budgetContract('PostgreSQL', openPostgres);

async function prepare({ store }: OpenBudgets): Promise<void> {
  for (const [index, id] of baseBudgets.entries()) {
    const window = contractWindows[index] ?? { type: 'total' };
    await store.create(budgetOf({ id, window, limitNanoUsd: contractLimit }));
  }
}

const fresh = (): Beliefs => ({ held: new Map(), overdrawn: 0n });
const commands = (maxLength: number) => fc.array(budgetCommand, { minLength: 1, maxLength });

/** $-1 for every budget, as far as charges were covered. */
async function requireWithinLimits(
  { store }: OpenBudgets,
  beliefs: Beliefs,
  command: BudgetCommand,
): Promise<void> {
  for (const id of allBudgetIds) {
    const totals = await store.totals(id);
    if (totals === undefined) continue;
    const { spentNanoUsd, openNanoUsd, lostNanoUsd, limitNanoUsd } = totals;
    expect(
      spentNanoUsd + openNanoUsd + lostNanoUsd <= limitNanoUsd + beliefs.overdrawn,
      `${id} after ${command.type}`,
    ).toBe(true);
  }
}

describe('any sequence of commands', () => {
  test('[$-1] spent + open + lost never exceeds the limit', async () => {
    await fc.assert(
      fc.asyncProperty(commands(60), async list => {
        const clock = createManualClock();
        const memory = await openMemory(clock);
        await prepare(memory);
        const beliefs = fresh();
        for (const command of list) {
          await runBudgetCommand(memory.store, command, clock, beliefs);
          await requireWithinLimits(memory, beliefs, command);
        }
      }),
      modelRuns('budgets', 'memory'),
    );
  });

  type Runs = ReturnType<typeof modelRuns>;
  const sameAsMemory = (open: (clock: Clock) => Promise<OpenBudgets>, runs: Runs) =>
    fc.assert(
      fc.asyncProperty(commands(25), async list => {
        const clock = createManualClock();
        const [memory, real] = [await openMemory(clock), await open(clock)];
        await Promise.all([prepare(memory), prepare(real)]);
        const [expectedBeliefs, beliefs] = [fresh(), fresh()];
        try {
          for (const command of list) {
            const expected = await runBudgetCommand(memory.store, command, clock, expectedBeliefs);
            if (command.type === 'wait') continue;
            const answer = await runBudgetCommand(real.store, command, clock, beliefs);
            expect(
              answer,
              JSON.stringify(command, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
            ).toEqual(expected);
          }
          for (const id of allBudgetIds)
            expect(await real.store.totals(id), id).toEqual(await memory.store.totals(id));
        } finally {
          await real.close();
        }
      }),
      runs,
    );

  test('[$-1] gets the same answers from memory and from SQLite', () =>
    sameAsMemory(openSqlite, modelRuns('budgets', 'SQLite')));
  test.skipIf(isMissing(postgres))('[$-1] gets the same answers from memory and from PostgreSQL', () =>
    sameAsMemory(openPostgres, modelRuns('budgets', 'PostgreSQL')),
  );
});
