import type { BudgetStore } from '../money/budget-store.ts';
import { smaller } from '../money/nano-usd.ts';
import type { LedgerEntry } from '../money/usage-entry.ts';
import type { UsageLedger } from '../money/usage-ledger.ts';

/**
 * What processes that are gone had spent is known from the upstream's own meter: books the entries that the ledger misses, and settles the lost
 * grants of the budget with their cost. What the grants held beyond that is free again. Returns what no lost grant covered: 0 unless an upstream
 * charged more than the worst case.
 */
export async function reconcileLost(
  deps: { readonly store: BudgetStore; readonly ledger: UsageLedger },
  budgetId: string,
  missing: readonly LedgerEntry[],
): Promise<bigint> {
  for (const entry of missing) deps.ledger.record({ ...entry, charges: [] });
  await deps.ledger.flush();
  let rest = missing.reduce((sum, entry) => sum + (entry.costNanoUsd ?? 0n), 0n);
  for (const grant of await deps.store.lostGrants()) {
    if (grant.budgetId !== budgetId) continue;
    const spentNanoUsd = smaller(rest, grant.nanoUsd);
    if (await deps.store.reconcile({ ...grant, spentNanoUsd })) rest -= spentNanoUsd;
  }
  return rest;
}
