import type { BudgetAlert } from './budget.ts';
import type { BudgetTransaction } from './sql-budget-rows.ts';

/** Until when the holder of grants is believed to live. */
export async function keepOwner(
  transaction: BudgetTransaction,
  owner: string,
  leaseUntilMs: number,
): Promise<void> {
  await transaction
    .insertInto('budget_owners')
    .values({ owner, lease_until_ms: leaseUntilMs })
    .onConflict(conflict => conflict.column('owner').doUpdateSet({ lease_until_ms: leaseUntilMs }))
    .execute();
}

/** Which parts of a limit were reached, and when: each once in a window. */
export async function keepAlerts(
  transaction: BudgetTransaction,
  alerts: readonly BudgetAlert[],
  atMs: number,
): Promise<void> {
  if (alerts.length === 0) return;
  await transaction
    .insertInto('budget_alerts')
    .values(
      alerts.map(({ budgetId, period, percent, spentNanoUsd, limitNanoUsd }) => ({
        budget_id: budgetId,
        period,
        percent,
        at_ms: atMs,
        spent_nano_usd: spentNanoUsd,
        limit_nano_usd: limitNanoUsd,
      })),
    )
    .onConflict(conflict => conflict.doNothing())
    .execute();
}
