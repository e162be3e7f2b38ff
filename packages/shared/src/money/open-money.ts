import type { Clock } from '../clock.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { BudgetsSection } from './budget-section.ts';
import { type Budgets, createBudgets } from './budgets.ts';
import { applyConfiguredBudgets } from './configured-budgets.ts';
import type { MoneySchema } from './money-schema.ts';
import type { LedgerSection } from './money-section.ts';
import { createSqlBudgetStore, type SqlBudgetStore } from './sql-budget-store.ts';
import { createUsageLedger, type UsageLedger } from './usage-ledger.ts';

export interface Money {
  readonly budgets: Budgets;
  readonly ledger: UsageLedger;
  readonly budgetStore: SqlBudgetStore;
  /** Books what is pending, then gives back what this process holds of budgets. */
  close(): Promise<void>;
}

/** How long what a process holds of budgets is its own without a word from it. */
const grantLeaseMs = 30_000;

/** Without a list of budgets those of the store are left as they are: for programs beside the gateways. */
export async function openMoney(options: {
  readonly sql: SqlStore<MoneySchema>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: { readonly ledger: LedgerSection; readonly budgets: BudgetsSection | undefined };
}): Promise<Money> {
  const { sql, clock, log, config } = options;
  const store = createSqlBudgetStore(sql, clock);
  if (config.budgets !== undefined) await applyConfiguredBudgets(store, config.budgets);
  const budgets = createBudgets({ store, clock, log, leaseMs: grantLeaseMs });
  const ledger = createUsageLedger({
    sql,
    clock,
    log,
    config: config.ledger,
    budgets: { store, listener: budgets },
  });
  return {
    budgets,
    ledger,
    budgetStore: store,
    async close() {
      await ledger.close();
      await budgets.close();
    },
  };
}
