import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { asyncFaultPoint } from '../fault-point.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Budget, Charge } from './budget.ts';
import { apply, totals } from './budget-account.ts';
import {
  type Accounts,
  chargeAll,
  closeAccount,
  drawAll,
  openRunAccount,
  reconcileBudget,
  reconcileGrant,
  trimAll,
} from './budget-accounts.ts';
import type { BudgetTables } from './budget-schema.ts';
import type { BudgetStore, ChargeOutcome, Reconciliation } from './budget-store.ts';
import {
  type BudgetChangeOptions,
  createSqlBudgetDefinitions,
  type SqlBudgetDefinitions,
} from './sql-budget-definitions.ts';
import { keepAlerts, keepOwner } from './sql-budget-owners.ts';
import {
  type BudgetTransaction,
  loadAccounts,
  saveAccounts,
  toBudget,
  toBudgetRow,
} from './sql-budget-rows.ts';

/**
 * A budget store whose charges can be part of somebody else's transaction: so a cost and its ledger entry are booked together. And
 * whose changes take somebody else's part into theirs: so a change and its audit entry are.
 */
export interface SqlBudgetStore extends Omit<BudgetStore, keyof SqlBudgetDefinitions>, SqlBudgetDefinitions {
  chargeWithin(transaction: Transaction<BudgetTables>, charges: readonly Charge[]): Promise<ChargeOutcome>;
  /**
   * What processes that are gone had spent of the budget: the rest of what they held is free again.
   * @throws GatewayError not_found (`unknown_budget`), conflict (`lost_changed`, `more_than_lost`).
   */
  reconcileLost(id: string, found: Reconciliation, options?: BudgetChangeOptions): Promise<Budget>;
}

/**
 * Budgets in SQLite or PostgreSQL. Each transition locks the rows of its budgets, reads their accounts, lets the arithmetic of
 * `budget-accounts.ts` decide, and writes what differs, in one transaction ($-1).
 */
export function createSqlBudgetStore(store: SqlStore<BudgetTables>, clock: Clock): SqlBudgetStore {
  const { db } = store;

  function within<T>(work: (transaction: BudgetTransaction) => Promise<T>, point: string): Promise<T> {
    return db.transaction().execute(async transaction => {
      const result = await work(transaction);
      await asyncFaultPoint(`budget.${point}.before-commit`);
      return result;
    });
  }

  /** Loads, decides, saves. */
  async function transition<T>(
    transaction: BudgetTransaction,
    ids: readonly string[],
    decide: (accounts: Accounts, nowMs: number) => T,
    {
      nowMs = clock.now(),
      periods = [],
    }: { readonly nowMs?: number; readonly periods?: readonly number[] } = {},
  ): Promise<T> {
    const before = await loadAccounts(transaction, ids, { nowMs, periods });
    const after = new Map(before);
    const result = decide(after, nowMs);
    await saveAccounts(transaction, before, after);
    return result;
  }

  async function chargeWithin(
    transaction: BudgetTransaction,
    charges: readonly Charge[],
  ): Promise<ChargeOutcome> {
    if (charges.length === 0) return { alerts: [], overdrawnNanoUsd: 0n };
    const ids = [...new Set(charges.map(charge => charge.budgetId))];
    const periods = [...new Set(charges.map(charge => charge.period))];
    const outcome = await transition(
      transaction,
      ids,
      (accounts, nowMs) => chargeAll(accounts, charges, nowMs),
      { periods },
    );
    await keepAlerts(transaction, outcome.alerts, clock.now());
    return outcome;
  }

  async function loseGrants(transaction: BudgetTransaction, owner: string): Promise<void> {
    const held = await transaction
      .selectFrom('budget_grants')
      .select('budget_id')
      .distinct()
      .where('owner', '=', owner)
      .execute();
    await transition(
      transaction,
      held.map(row => row.budget_id),
      (accounts, nowMs) => {
        for (const [id, placed] of accounts) {
          const [account] = apply(placed, { type: 'lose', owner }, nowMs);
          if (account !== placed) accounts.set(id, { ...account, parents: placed.parents });
        }
      },
    );
    await transaction.deleteFrom('budget_owners').where('owner', '=', owner).execute();
  }

  const openRun: BudgetStore['openRun'] = run =>
    within(async transaction => {
      const nowMs = clock.now();
      const { outcome, opened } = await transition(transaction, [run.id, ...run.parents], accounts =>
        openRunAccount(accounts, run, nowMs),
      );
      if (opened !== undefined)
        await transaction.insertInto('budgets').values(toBudgetRow(opened, nowMs)).execute();
      return outcome;
    }, 'open-run');

  return {
    chargeWithin,
    draw: request =>
      within(async transaction => {
        await keepOwner(transaction, request.owner, request.leaseUntilMs); // first, as `reap` takes its locks
        const ids = request.draws.map(draw => draw.budgetId);
        return transition(transaction, ids, accounts => drawAll(accounts, request), {
          nowMs: Math.min(...request.draws.map(draw => draw.atMs)),
        });
      }, 'draw'),
    charge: charges => within(transaction => chargeWithin(transaction, charges), 'charge'),
    trim: trims =>
      within(
        transaction =>
          transition(
            transaction,
            trims.map(trim => trim.budgetId),
            (accounts, nowMs) => trimAll(accounts, trims, nowMs),
          ),
        'trim',
      ),
    async renew(owner, leaseUntilMs) {
      const result = await db
        .updateTable('budget_owners')
        .set({ lease_until_ms: leaseUntilMs })
        .where('owner', '=', owner)
        .executeTakeFirst();
      return result.numUpdatedRows > 0n;
    },
    leave: owner => within(transaction => loseGrants(transaction, owner), 'leave'),
    async reap(leaseEndedBeforeMs) {
      const gone = db
        .selectFrom('budget_owners')
        .select('owner')
        .where('lease_until_ms', '<', leaseEndedBeforeMs)
        .orderBy('owner');
      if ((await gone.execute()).length === 0) return []; // nothing to lock for
      return within(async transaction => {
        // Read anew under its lock: who renewed meanwhile lives.
        const rows = await transaction
          .selectFrom('budget_owners')
          .select('owner')
          .where('lease_until_ms', '<', leaseEndedBeforeMs)
          .orderBy('owner')
          .forUpdate()
          .execute();
        for (const { owner } of rows) await loseGrants(transaction, owner);
        return rows.map(row => row.owner);
      }, 'reap');
    },
    async lostGrants() {
      const rows = await db
        .selectFrom('budget_grants')
        .selectAll()
        .where('state', '=', 'lost')
        .orderBy('grant_id')
        .execute();
      return rows.map(row => ({
        budgetId: row.budget_id,
        grantId: row.grant_id,
        owner: row.owner,
        nanoUsd: BigInt(row.remaining),
      }));
    },
    reconcile: grant =>
      within(async transaction => {
        const row = await transaction
          .selectFrom('budget_grants')
          .select('period')
          .where('budget_id', '=', grant.budgetId)
          .where('grant_id', '=', grant.grantId)
          .executeTakeFirst();
        if (row === undefined) return false;
        return transition(
          transaction,
          [grant.budgetId],
          (accounts, nowMs) => reconcileGrant(accounts, grant, nowMs),
          { periods: [row.period] },
        );
      }, 'reconcile'),

    reconcileLost: (id, found, options) =>
      within(async transaction => {
        await transition(transaction, [id], (accounts, nowMs) =>
          reconcileBudget(accounts, id, { ...found, nowMs }),
        );
        const row = await transaction
          .selectFrom('budgets')
          .selectAll()
          .where('id', '=', id)
          .executeTakeFirstOrThrow();
        const budget = toBudget(row);
        await options?.record?.(transaction, budget);
        return budget;
      }, 'reconcile-lost'),

    ...createSqlBudgetDefinitions(store, { clock, within }),
    totals: id =>
      within(async transaction => {
        const nowMs = clock.now();
        const account = (await loadAccounts(transaction, [id], { nowMs, periods: [] })).get(id);
        if (account === undefined) return undefined;
        const { spent, open, lost } = totals(account, nowMs);
        return {
          limitNanoUsd: account.limitNanoUsd,
          spentNanoUsd: spent,
          openNanoUsd: open,
          lostNanoUsd: lost,
        };
      }, 'totals'),

    async openRun(run) {
      try {
        return await openRun(run);
      } catch (error) {
        // Somebody has opened it at the same moment: it is there now.
        if (!(error instanceof GatewayError) || error.reason !== 'unique_violation') throw error;
        return openRun(run);
      }
    },
    async openRuns({ after, limit }) {
      const rows = await db
        .selectFrom('budgets')
        .select(['id', 'tenant', 'subject_id'])
        .where('subject_kind', '=', 'run')
        .where('is_closed', '=', 0)
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(row => ({ id: row.id, tenant: row.tenant, runId: row.subject_id }));
    },
    closeRun: id =>
      within(
        transaction => transition(transaction, [id], (accounts, nowMs) => closeAccount(accounts, id, nowMs)),
        'close-run',
      ),
  };
}
