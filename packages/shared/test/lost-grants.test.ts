import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { createSqlBudgetStore } from '@strata/shared/money/sql-budget-store.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { budgetOf } from './contracts/budget-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-lost-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

const january = Date.UTC(2026, 0, 20);
const monthMs = 31 * 86_400_000;

/** What processes that are gone had held is settled by somebody who knows what they spent. */
function settlingTests(name: string, emptyDatabase: () => Promise<string>): void {
  describe(`lost grants on ${name}`, () => {
    let clock: ManualClock;
    let sql: Awaited<ReturnType<typeof openSqlStore<MoneySchema>>>;
    let store: ReturnType<typeof createSqlBudgetStore>;
    beforeEach(async () => {
      clock = createManualClock(january);
      sql = await openSqlStore<MoneySchema>({
        url: await emptyDatabase(),
        config: storeSection.parse({}),
        migrations: [moneyMigrations],
        clock,
      });
      store = createSqlBudgetStore(sql, clock);
    });
    afterEach(() => sql.close());

    const hold = async (owner: string, budgetId: string, nanoUsd: bigint) => {
      const draw = {
        budgetId,
        grantId: `${owner}/${budgetId}`,
        atMs: clock.now(),
        need: nanoUsd,
        want: nanoUsd,
      };
      await store.draw({ owner, leaseUntilMs: clock.now() + 30_000, draws: [draw] });
    };
    const totalsIn = (atMs: number, id: string) =>
      createSqlBudgetStore(sql, createManualClock(atMs)).totals(id);

    test('[$-1] what a run spent in a month that is over stays spent there when its lost money is settled in the next', async () => {
      await store.create(budgetOf({ window: { type: 'month', timeZone: 'UTC' } }));
      await store.openRun({ id: 'run:1', tenant: 'acme', runId: '1', limitNanoUsd: 100n, parents: ['team'] });
      await hold('one', 'run:1', 50n);
      await store.charge([{ budgetId: 'run:1', grantId: 'one/run:1', period: 0, nanoUsd: 20n }]);
      await store.leave('one');
      await clock.advance(monthMs);
      await store.reconcileLost('run:1', { lostNanoUsd: 30n, spentNanoUsd: 1n });
      expect(await totalsIn(january, 'team')).toMatchObject({ spentNanoUsd: 21n });
      expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 0n });
      expect(await store.totals('run:1')).toMatchObject({ spentNanoUsd: 21n, lostNanoUsd: 0n });
    });

    test('[$-1] what another process left behind since somebody looked is not freed with what was seen', async () => {
      await store.create(budgetOf({ window: { type: 'total' } }));
      await hold('one', 'team', 4n);
      await store.leave('one');
      await hold('two', 'team', 2n);
      await store.leave('two');
      const seen = { lostNanoUsd: 4n, spentNanoUsd: 1n };
      await expect(store.reconcileLost('team', seen)).rejects.toMatchObject({
        kind: 'conflict',
        reason: 'lost_changed',
        message: expect.stringContaining('hold 0.000000006 USD'),
      });
      expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 0n, lostNanoUsd: 6n });
      await store.reconcileLost('team', { lostNanoUsd: 6n, spentNanoUsd: 3n });
      expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 3n, lostNanoUsd: 0n });
      const again = store.reconcileLost('team', { lostNanoUsd: 6n, spentNanoUsd: 3n });
      await expect(again).rejects.toMatchObject({ reason: 'lost_changed' });
    });

    test('[$-1] of two who settle the same at the same moment one is heard', async () => {
      await store.create(budgetOf({ window: { type: 'total' } }));
      await hold('one', 'team', 4n);
      await store.leave('one');
      const settle = (spentNanoUsd: bigint) => store.reconcileLost('team', { lostNanoUsd: 4n, spentNanoUsd });
      const outcomes = await Promise.allSettled([settle(3n), settle(3n)]);
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 3n, lostNanoUsd: 0n });
    });

    test('[$-1] what was lost in a window that is over is nobody’s to settle in the next', async () => {
      await store.create(budgetOf({ window: { type: 'month', timeZone: 'UTC' } }));
      await hold('one', 'team', 4n);
      await store.leave('one');
      await clock.advance(monthMs);
      const seen = store.reconcileLost('team', { lostNanoUsd: 4n, spentNanoUsd: 1n });
      await expect(seen).rejects.toMatchObject({ reason: 'lost_changed' });
    });
  });
}

let files = 0;
settlingTests('SQLite', async () => `file:${join(folder, `${++files}.sqlite`)}`);
if (isMissing(postgres)) test.skip(`lost grants on PostgreSQL: ${postgres.missing}`, () => {});
else settlingTests('PostgreSQL', () => postgres.createDatabase());
