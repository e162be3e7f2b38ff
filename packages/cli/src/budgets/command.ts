import { systemClock } from '@strata/shared/clock.ts';
import { usdText } from '@strata/shared/money/nano-usd.ts';
import { createSqlBudgetStore } from '@strata/shared/money/sql-budget-store.ts';
import { subjectText } from '@strata/shared/money/subject.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';

export interface BudgetOptions {
  readonly tenant?: string;
}

/** `strata budgets`: one line a budget: id, organisation, subject, window, mode, limit, spent, open and lost, in USD. */
export async function showBudgets({ tenant }: BudgetOptions): Promise<void> {
  await withSqlStore(loadSharedConfig(), async sql => {
    const store = createSqlBudgetStore(sql, systemClock);
    for (const budget of await store.list()) {
      if (tenant !== undefined && budget.tenant !== tenant) continue;
      const totals = await store.totals(budget.id);
      const amounts = [budget.limitNanoUsd, totals?.spentNanoUsd, totals?.openNanoUsd, totals?.lostNanoUsd];
      const fields = [
        budget.id,
        budget.tenant,
        subjectText(budget.subject),
        budget.window.type,
        budget.mode,
        ...amounts.map(amount => usdText(amount ?? 0n)),
      ];
      process.stdout.write(`${fields.join('\t')}\n`);
    }
  });
}
