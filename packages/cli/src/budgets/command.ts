import {
  budgetChange,
  budgetTarget,
  reconciledTarget,
  reconciliation,
  toBudgetChange,
  toNewBudget,
  toReconciliation,
  writtenBudget,
} from '@strata/shared/admin/resources/budget-fields.ts';
import { systemClock } from '@strata/shared/clock.ts';
import { createTreeStore } from '@strata/shared/identity/tree-store.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Budget } from '@strata/shared/money/budget.ts';
import { requireNotConfigured } from '@strata/shared/money/configured-budgets.ts';
import { usdText } from '@strata/shared/money/nano-usd.ts';
import { createSqlBudgetStore, type SqlBudgetStore } from '@strata/shared/money/sql-budget-store.ts';
import { subjectText } from '@strata/shared/money/subject.ts';
import { loadSharedConfig, withAuditedStore, withSqlStore } from '@strata/shared/with-key-store.ts';
import { InvalidArgumentError } from 'commander';
import { parseWritten } from '../parse-written.ts';
import { tellNothing } from '../tell-nothing.ts';
import { requireOrganisation } from '../tree/require-organisation.ts';

export interface BudgetOptions {
  readonly tenant?: string;
}

/** `strata budgets`: one line a budget: id, organisation, subject, window, mode, limit, spent, open and lost, in USD. */
export async function showBudgets({ tenant }: BudgetOptions): Promise<void> {
  await withSqlStore(loadSharedConfig(), async sql => {
    const store = createSqlBudgetStore(sql, systemClock);
    const shown = (await store.list()).filter(budget => tenant === undefined || budget.tenant === tenant);
    if (shown.length === 0) await tellNothing(sql, { what: 'budget', tenant });
    for (const budget of shown) await show(store, budget);
  });
}

export interface CreateBudgetOptions {
  readonly tenant: string;
  readonly subject: string;
  readonly limit: string;
  readonly window: string;
  readonly timeZone?: string;
  readonly hours?: string;
  readonly mode?: string;
}

/** `strata budgets create`: prints the budget as `strata budgets` does. */
export async function createBudget(options: CreateBudgetOptions): Promise<void> {
  const { tenant, subject, limit, window: type, timeZone, hours, mode } = options;
  const written = parseWritten(writtenBudget, {
    subject,
    limit_usd: limit,
    window: {
      type,
      ...(timeZone !== undefined && { time_zone: timeZone }),
      ...(hours !== undefined && { hours: Number(hours) }),
    },
    mode,
  });
  await withAuditedStore(loadSharedConfig(), async (sql, audited) => {
    await requireOrganisation(createTreeStore({ sql, clock: systemClock }), options.tenant);
    const store = createSqlBudgetStore(sql, systemClock);
    const budget = toNewBudget(newId('bud', systemClock.now()), tenant, written);
    await show(store, await store.create(budget, audited<Budget>('budget.create', budgetTarget)));
  });
}

/** `strata budgets change ID`: another limit or mode. What was granted before stays granted. */
export async function changeBudget(id: string, options: { limit?: string; mode?: string }): Promise<void> {
  requireNotConfigured(id);
  if (options.limit === undefined && options.mode === undefined)
    throw new InvalidArgumentError('Say what to change: `--limit` or `--mode`.');
  const change = toBudgetChange(parseWritten(budgetChange, { limit_usd: options.limit, mode: options.mode }));
  await withAuditedStore(loadSharedConfig(), async (sql, audited) => {
    const store = createSqlBudgetStore(sql, systemClock);
    const entry = audited<Budget>('budget.change', budgetTarget);
    await show(store, await store.update(id, change, undefined, entry));
  });
}

/** `strata budgets reconcile ID`: what processes that are gone had spent; the rest of what they held is free again. */
export async function reconcileBudget(id: string, options: { lost: string; spent: string }): Promise<void> {
  const written = parseWritten(reconciliation, { lost_usd: options.lost, spent_usd: options.spent });
  await withAuditedStore(loadSharedConfig(), async (sql, audited) => {
    const store = createSqlBudgetStore(sql, systemClock);
    const entry = audited<Budget>('budget.reconcile', reconciledTarget(written));
    await show(store, await store.reconcileLost(id, toReconciliation(written), entry));
  });
}

/** `strata budgets delete ID`. */
export async function deleteBudget(id: string): Promise<void> {
  requireNotConfigured(id);
  await withAuditedStore(loadSharedConfig(), (sql, audited) =>
    createSqlBudgetStore(sql, systemClock).remove(id, audited<Budget>('budget.delete', budgetTarget)),
  );
  process.stderr.write(`Budget ${id} is gone.\n`);
}

async function show(store: SqlBudgetStore, budget: Budget): Promise<void> {
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
