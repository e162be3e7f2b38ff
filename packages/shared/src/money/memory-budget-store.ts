import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Budget } from './budget.ts';
import { apply, totals } from './budget-account.ts';
import {
  type Accounts,
  chargeAll,
  closeAccount,
  drawAll,
  openRunAccount,
  type PlacedAccount,
  reconcileGrant,
  trimAll,
} from './budget-accounts.ts';
import { budgetChanged, unknownBudget } from './budget-errors.ts';
import type { BudgetStore, LostGrant } from './budget-store.ts';

/** Budgets in one process, gone with it: the model that the SQL store is held to, and the store of tests. */
export function createMemoryBudgetStore(clock: Clock): BudgetStore {
  const budgets = new Map<string, Budget>();
  const accounts: Accounts = new Map();
  const owners = new Map<string, number>();
  let version = 0;

  const lose = (owner: string) => {
    owners.delete(owner);
    for (const [id, placed] of accounts) {
      const [account] = apply(placed, { type: 'lose', owner }, clock.now());
      accounts.set(id, { ...account, parents: placed.parents });
    }
  };
  const open = (budget: Budget): PlacedAccount => ({ ...budget, spent: new Map(), grants: new Map() });

  return {
    async draw(request) {
      owners.set(request.owner, request.leaseUntilMs);
      return drawAll(accounts, request);
    },
    charge: async charges => chargeAll(accounts, charges, clock.now()),
    trim: async trims => trimAll(accounts, trims, clock.now()),
    async renew(owner, leaseUntilMs) {
      if (!owners.has(owner)) return false;
      owners.set(owner, leaseUntilMs);
      return true;
    },
    leave: async owner => lose(owner),
    async reap(leaseEndedBeforeMs) {
      const gone = [...owners].filter(([, untilMs]) => untilMs < leaseEndedBeforeMs).map(([owner]) => owner);
      for (const owner of gone) lose(owner);
      return gone.sort();
    },
    lostGrants: async () =>
      [...accounts].flatMap(([budgetId, { grants }]) =>
        [...grants.values()].flatMap(({ id, owner, remaining, state }): LostGrant[] =>
          state === 'lost' ? [{ budgetId, grantId: id, owner, nanoUsd: remaining }] : [],
        ),
      ),
    reconcile: async grant => reconcileGrant(accounts, grant, clock.now()),

    async create(request) {
      if (budgets.has(request.id)) {
        throw new GatewayError('conflict', 'There is such a budget already.', { reason: 'unique_violation' });
      }
      const budget: Budget = { ...request, version: 1, parents: [], isClosed: false };
      budgets.set(budget.id, budget);
      accounts.set(budget.id, open(budget));
      version++;
      return budget;
    },
    async update(id, change, expected) {
      const budget = budgets.get(id);
      const account = accounts.get(id);
      if (budget === undefined || account === undefined || budget.subject.kind === 'run')
        throw unknownBudget(id);
      if (expected !== undefined && expected !== budget.version) throw budgetChanged(id);
      const next = { ...budget, ...change, version: budget.version + 1 };
      budgets.set(id, next);
      accounts.set(id, { ...account, limitNanoUsd: next.limitNanoUsd });
      version++;
      return next;
    },
    async remove(id) {
      if (budgets.get(id)?.subject.kind === 'run' || !budgets.delete(id)) throw unknownBudget(id);
      accounts.delete(id);
      version++;
    },
    list: async () =>
      [...budgets.values()]
        .filter(({ subject }) => subject.kind !== 'run')
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    find: async id => {
      const budget = budgets.get(id);
      return budget && { ...budget, isClosed: accounts.get(id)?.isClosed ?? false };
    },
    async totals(id) {
      const account = accounts.get(id);
      if (account === undefined) return undefined;
      const { spent, open: out, lost } = totals(account, clock.now());
      return { limitNanoUsd: account.limitNanoUsd, spentNanoUsd: spent, openNanoUsd: out, lostNanoUsd: lost };
    },
    version: async () => version,

    async openRun(run) {
      const { outcome, opened } = openRunAccount(accounts, run, clock.now());
      const known = budgets.get(run.id);
      const limitNanoUsd = accounts.get(run.id)?.limitNanoUsd;
      if (known !== undefined && limitNanoUsd !== undefined) budgets.set(run.id, { ...known, limitNanoUsd });
      if (opened !== undefined) {
        budgets.set(run.id, opened);
        accounts.set(run.id, open(opened));
      }
      return outcome;
    },
    openRuns: async ({ after, limit }) =>
      [...budgets.values()]
        .filter(({ id, subject }) => subject.kind === 'run' && id > after && !accounts.get(id)?.isClosed)
        .sort((left, right) => (left.id < right.id ? -1 : 1))
        .slice(0, limit)
        .map(({ id, tenant, subject }) => ({ id, tenant, runId: subject.id })),
    closeRun: async id => closeAccount(accounts, id, clock.now()),
  };
}
