import { systemClock } from '@strata/shared/clock.ts';
import { ledgerSection } from '@strata/shared/money/money-section.ts';
import { createSqlBudgetStore } from '@strata/shared/money/sql-budget-store.ts';
import { createUsageLedger } from '@strata/shared/money/usage-ledger.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from '@strata/shared/stores/shared-schema.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { createLogger } from '@strata/shared/telemetry/logger.ts';
import { expect } from 'vitest';

export const budgetId = 'all-there-is';

/** Ledger and budgets of a store, beside the gateways that write them. One hard budget bears everything that the organisation `default` spends. */
export async function openBooks(url: string, limitNanoUsd: bigint) {
  const sql = await openSqlStore<SharedSchema>({
    url,
    config: storeSection.parse({ busy_timeout_ms: 30_000, acquire_timeout_ms: 30_000 }),
    migrations: sharedMigrations,
    clock: systemClock,
  });
  const store = createSqlBudgetStore(sql, systemClock);
  await store.create({
    id: budgetId,
    tenant: 'default',
    subject: { kind: 'organisation', id: 'default' },
    limitNanoUsd,
    window: { type: 'total' },
    mode: 'hard',
  });
  const log = createLogger({ service: 'test', level: 'silent' });
  const ledger = createUsageLedger({ sql, clock: systemClock, log, config: ledgerSection.parse({}) });
  return {
    sql,
    store,
    ledger,
    totals: async () => (await store.totals(budgetId)) ?? expect.fail(),
    rows: () =>
      sql.db
        .selectFrom('usage_ledger')
        .select(['input', 'output', 'outcome', 'usage_source', 'cost_nano_usd'])
        .execute(),
    async close() {
      await ledger.close();
      await sql.close();
    },
  };
}

export type Books = Awaited<ReturnType<typeof openBooks>>;

export const sumOf = (amounts: readonly bigint[]) => amounts.reduce((sum, amount) => sum + amount, 0n);
