import type { Clock } from '../clock.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Budget } from './budget.ts';
import { budgetChanged, unknownBudget } from './budget-errors.ts';
import type { BudgetTables } from './budget-schema.ts';
import type { BudgetChange, BudgetStore, NewBudget } from './budget-store.ts';
import { type BudgetTransaction, toBudget, toBudgetRow } from './sql-budget-rows.ts';

/** What else happens in the transaction of a change: the audit's place. */
export interface BudgetChangeOptions {
  readonly record?: ((transaction: BudgetTransaction, budget: Budget) => Promise<void>) | undefined;
}

/** Which budgets there are. Their changes take somebody else's part into their transaction: so a change and its audit entry are one step. */
export interface SqlBudgetDefinitions extends Pick<BudgetStore, 'list' | 'find' | 'version'> {
  create(budget: NewBudget, options?: BudgetChangeOptions): Promise<Budget>;
  update(id: string, change: BudgetChange, version?: number, options?: BudgetChangeOptions): Promise<Budget>;
  /** @throws GatewayError not_found (`unknown_budget`), conflict (`budget_changed`). */
  remove(
    id: string,
    options?: BudgetChangeOptions & { readonly version?: number | undefined },
  ): Promise<void>;
}

const versionName = 'budgets';

export function createSqlBudgetDefinitions(
  { db }: SqlStore<BudgetTables>,
  {
    clock,
    within,
  }: {
    readonly clock: Clock;
    readonly within: <T>(work: (transaction: BudgetTransaction) => Promise<T>, point: string) => Promise<T>;
  },
): SqlBudgetDefinitions {
  return {
    create: (request, options) =>
      within(async transaction => {
        const budget: Budget = { ...request, version: 1, parents: [], isClosed: false };
        await transaction.insertInto('budgets').values(toBudgetRow(budget, clock.now())).execute();
        await bumpVersion(transaction);
        await options?.record?.(transaction, budget);
        return budget;
      }, 'create'),
    update: (id, change, version, options) =>
      within(async transaction => {
        const row = await lockBudget(transaction, id, version);
        const next: Budget = { ...toBudget(row), ...change, version: row.version + 1 };
        await transaction
          .updateTable('budgets')
          .set(toBudgetRow(next, row.created_at_ms))
          .where('id', '=', id)
          .execute();
        await bumpVersion(transaction);
        await options?.record?.(transaction, next);
        return next;
      }, 'update'),
    remove: (id, options) =>
      within(async transaction => {
        const row = await lockBudget(transaction, id, options?.version);
        await transaction.deleteFrom('budgets').where('id', '=', id).execute();
        await bumpVersion(transaction);
        await options?.record?.(transaction, toBudget(row));
      }, 'remove'),
    async list() {
      const rows = await db
        .selectFrom('budgets')
        .selectAll()
        .where('subject_kind', '!=', 'run')
        .orderBy('id')
        .execute();
      return rows.map(toBudget);
    },
    async find(id) {
      const row = await db.selectFrom('budgets').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toBudget(row);
    },
    async version() {
      const row = await db
        .selectFrom('money_versions')
        .select('version')
        .where('name', '=', versionName)
        .executeTakeFirst();
      return row?.version ?? 0;
    },
  };
}

/** The budget as it is until the end of the transaction. @throws GatewayError not_found (`unknown_budget`), conflict (`budget_changed`). */
async function lockBudget(transaction: BudgetTransaction, id: string, version: number | undefined) {
  const row = await transaction
    .selectFrom('budgets')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined || row.subject_kind === 'run') throw unknownBudget(id); // a run's is what its parents reserved
  if (version !== undefined && version !== row.version) throw budgetChanged(id);
  return row;
}

async function bumpVersion(transaction: BudgetTransaction): Promise<void> {
  await transaction
    .insertInto('money_versions')
    .values({ name: versionName, version: 1 })
    .onConflict(conflict =>
      conflict.column('name').doUpdateSet(row => ({ version: row('money_versions.version', '+', 1) })),
    )
    .execute();
}
