import type { Transaction } from 'kysely';
import type { Budget } from './budget.ts';
import type { Grant } from './budget-account.ts';
import type { Accounts, PlacedAccount } from './budget-accounts.ts';
import type { BudgetTables } from './budget-schema.ts';
import { type BudgetWindow, viewAt } from './budget-window.ts';
import type { SubjectKind } from './subject.ts';

export type BudgetTransaction = Transaction<BudgetTables>;
type BudgetRow = BudgetTables['budgets'];

/**
 * Takes the locks of the budgets and of all that they are reserved from, always in one order, and reads their accounts. Periods that
 * do not count any more, and grants that were lost in them, are read only from the oldest of `periods` on.
 */
export async function loadAccounts(
  transaction: BudgetTransaction,
  ids: readonly string[],
  { nowMs, periods }: { readonly nowMs: number; readonly periods: readonly number[] },
): Promise<Accounts> {
  const rows = await lockBudgets(transaction, ids);
  const accounts: Accounts = new Map();
  if (rows.length === 0) return accounts;
  const oldest = Math.min(...periods, Number.MAX_SAFE_INTEGER);
  const fromOf = (row: BudgetRow) => Math.min(oldest, viewAt(windowOf(row), nowMs).countsFrom);
  const spent = await transaction
    .selectFrom('budget_spent')
    .selectAll()
    .where(each =>
      each.or(rows.map(row => each.and([each('budget_id', '=', row.id), each('period', '>=', fromOf(row))]))),
    )
    .execute();
  const grants = await transaction
    .selectFrom('budget_grants')
    .selectAll()
    .where(each =>
      each.or(
        rows.map(row =>
          each.and([
            each('budget_id', '=', row.id),
            each.or([each('state', '=', 'open'), each('period', '>=', fromOf(row))]),
          ]),
        ),
      ),
    )
    .execute();
  for (const row of rows) {
    accounts.set(row.id, {
      limitNanoUsd: BigInt(row.limit_nano_usd),
      window: windowOf(row),
      isClosed: row.is_closed === 1,
      parents: parentsOf(row),
      spent: new Map(
        spent.filter(each => each.budget_id === row.id).map(each => [each.period, BigInt(each.nano_usd)]),
      ),
      grants: new Map(
        grants.filter(each => each.budget_id === row.id).map(each => [each.grant_id, toGrant(each)]),
      ),
    });
  }
  return accounts;
}

/** Ancestors first, so that a run and its parents are taken in the same order by all. */
async function lockBudgets(transaction: BudgetTransaction, ids: readonly string[]): Promise<BudgetRow[]> {
  const wanted = new Set(ids);
  for (let next = [...wanted]; next.length > 0; ) {
    const rows = await transaction.selectFrom('budgets').select('parents').where('id', 'in', next).execute();
    next = rows.flatMap(row => parseParents(row.parents)).filter(id => !wanted.has(id));
    for (const id of next) wanted.add(id);
  }
  if (wanted.size === 0) return [];
  return transaction
    .selectFrom('budgets')
    .selectAll()
    .where('id', 'in', [...wanted])
    .orderBy('id')
    .forUpdate()
    .execute();
}

/** Writes what differs. Both maps hold the same budgets. */
export async function saveAccounts(
  transaction: BudgetTransaction,
  before: Accounts,
  after: Accounts,
): Promise<void> {
  for (const [id, account] of after) {
    const old = before.get(id);
    if (old === undefined || old === account) continue;
    await saveSpent(transaction, id, old, account);
    await saveGrants(transaction, id, old, account);
    if (old.limitNanoUsd !== account.limitNanoUsd) {
      await transaction
        .updateTable('budgets')
        .set({ limit_nano_usd: account.limitNanoUsd })
        .where('id', '=', id)
        .execute();
    }
    if (old.isClosed !== account.isClosed) {
      await transaction.updateTable('budgets').set({ is_closed: 1 }).where('id', '=', id).execute();
    }
  }
}

/** Adds what was spent to what is stored: a period that was not read, as it does not count any more, keeps what it has. */
async function saveSpent(
  transaction: BudgetTransaction,
  id: string,
  old: PlacedAccount,
  account: PlacedAccount,
): Promise<void> {
  const added = [...account.spent]
    .map(([period, amount]) => ({ budget_id: id, period, nano_usd: amount - (old.spent.get(period) ?? 0n) }))
    .filter(row => row.nano_usd !== 0n);
  if (added.length === 0) return;
  await transaction
    .insertInto('budget_spent')
    .values(added)
    .onConflict(conflict =>
      conflict.columns(['budget_id', 'period']).doUpdateSet(row => ({
        nano_usd: row('budget_spent.nano_usd', '+', row.ref('excluded.nano_usd')),
      })),
    )
    .execute();
}

async function saveGrants(
  transaction: BudgetTransaction,
  id: string,
  old: PlacedAccount,
  account: PlacedAccount,
): Promise<void> {
  const gone = [...old.grants.keys()].filter(grantId => !account.grants.has(grantId));
  if (gone.length > 0) {
    await transaction
      .deleteFrom('budget_grants')
      .where('budget_id', '=', id)
      .where('grant_id', 'in', gone)
      .execute();
  }
  const changed = [...account.grants.values()].filter(grant => old.grants.get(grant.id) !== grant);
  if (changed.length === 0) return;
  await transaction
    .insertInto('budget_grants')
    .values(changed.map(({ id: grantId, ...rest }) => ({ budget_id: id, grant_id: grantId, ...rest })))
    .onConflict(conflict =>
      conflict.columns(['budget_id', 'grant_id']).doUpdateSet(row => ({
        period: row.ref('excluded.period'),
        remaining: row.ref('excluded.remaining'),
        state: row.ref('excluded.state'),
      })),
    )
    .execute();
}

function toGrant(row: BudgetTables['budget_grants']): Grant {
  return {
    id: row.grant_id,
    owner: row.owner,
    period: row.period,
    remaining: BigInt(row.remaining),
    state: row.state === 'lost' ? 'lost' : 'open',
  };
}

export function toBudget(row: BudgetRow): Budget {
  return {
    id: row.id,
    tenant: row.tenant,
    subject: { kind: row.subject_kind as SubjectKind, id: row.subject_id }, // written by `toBudgetRow` only
    limitNanoUsd: BigInt(row.limit_nano_usd),
    window: windowOf(row),
    mode: row.mode === 'soft' ? 'soft' : 'hard',
    version: row.version,
    parents: parentsOf(row),
    isClosed: row.is_closed === 1,
  };
}

export function toBudgetRow(budget: Budget, createdAtMs: number): BudgetRow {
  return {
    id: budget.id,
    tenant: budget.tenant,
    subject_kind: budget.subject.kind,
    subject_id: budget.subject.id,
    limit_nano_usd: budget.limitNanoUsd,
    time_window: JSON.stringify(budget.window),
    mode: budget.mode,
    version: budget.version,
    parents: JSON.stringify(budget.parents),
    is_closed: budget.isClosed ? 1 : 0,
    created_at_ms: createdAtMs,
  };
}

function windowOf(row: BudgetRow): BudgetWindow {
  return JSON.parse(row.time_window) as BudgetWindow; // written by `toBudgetRow` only
}

function parentsOf(row: BudgetRow): string[] {
  return parseParents(row.parents);
}

function parseParents(text: string): string[] {
  return JSON.parse(text) as string[]; // written by `toBudgetRow` only
}
