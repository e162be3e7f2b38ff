import type { Budget, BudgetAlert, Charge } from './budget.ts';
import {
  type Account,
  type AccountEvent,
  type AccountOutput,
  apply,
  available,
  lostGrants,
} from './budget-account.ts';
import { lostChanged, moreThanLost, unknownBudget } from './budget-errors.ts';
import type { ChargeOutcome, DrawOutcome, DrawRequest, Reconciliation, RunBudget } from './budget-store.ts';
import { viewAt } from './budget-window.ts';
import { smaller } from './nano-usd.ts';

/** An account with its place in the hierarchy: its whole limit is a grant of each of its parents. */
export interface PlacedAccount extends Account {
  readonly parents: readonly string[];
}

/** The accounts that one transaction touches, with all their ancestors. Changed in place; a transaction that fails throws them away. */
export type Accounts = Map<string, PlacedAccount>;

/** The grant out of `parent` that is the budget of a run. */
export function runGrantId(budgetId: string, parentId: string): string {
  return `budget:${budgetId}/${parentId}`;
}

/** All draws or none. */
export function drawAll(
  accounts: Accounts,
  { owner, draws }: Pick<DrawRequest, 'owner' | 'draws'>,
): DrawOutcome {
  const drawn: bigint[] = [];
  const before = new Map(accounts);
  for (const { budgetId, grantId, atMs, need, want } of draws) {
    const output = change(accounts, budgetId, { type: 'draw', grantId, owner, need, want }, atMs);
    if (output?.type === 'drawn') {
      drawn.push(output.nanoUsd);
      continue;
    }
    for (const [id, account] of before) accounts.set(id, account);
    const limitNanoUsd = before.get(budgetId)?.limitNanoUsd;
    if (output?.type !== 'refused' || limitNanoUsd === undefined) return { type: 'unknown-budget', budgetId };
    return { type: 'refused', budgetId, availableNanoUsd: output.availableNanoUsd, limitNanoUsd };
  }
  return { type: 'drawn', nanoUsd: drawn };
}

/**
 * The budget of a run: its whole limit out of each of its parents, or nothing. One that is there already gets what is more. `opened` is what was not there
 * before.
 */
export function openRunAccount(
  accounts: Accounts,
  { id, tenant, runId, limitNanoUsd, parents }: RunBudget,
  atMs: number,
): { readonly outcome: DrawOutcome; readonly opened?: Budget } {
  if (accounts.has(id)) return { outcome: raiseAccount(accounts, { id, limitNanoUsd, atMs }) };
  const draws = parents.map(budgetId => ({
    budgetId,
    grantId: runGrantId(id, budgetId),
    atMs,
    need: limitNanoUsd,
    want: limitNanoUsd,
  }));
  const outcome = drawAll(accounts, { owner: `budget:${id}`, draws });
  if (outcome.type !== 'drawn') return { outcome };
  const subject = { kind: 'run', id: runId } as const;
  const window = { type: 'total' } as const;
  const opened = { id, tenant, subject, limitNanoUsd, window, mode: 'hard', version: 1, parents } as const;
  return { outcome, opened: { ...opened, isClosed: false } };
}

/**
 * More for a run that has a budget already: what it holds of each parent and the difference, as of now, or nothing changes. A limit is
 * never lowered, and a closed budget stays as it is.
 */
function raiseAccount(
  accounts: Accounts,
  { id, limitNanoUsd, atMs }: { readonly id: string; readonly limitNanoUsd: bigint; readonly atMs: number },
): DrawOutcome {
  const account = accounts.get(id);
  if (account === undefined || account.isClosed || account.limitNanoUsd >= limitNanoUsd)
    return { type: 'drawn', nanoUsd: [] };
  const more = limitNanoUsd - account.limitNanoUsd;
  const before = new Map(accounts);
  // Taken back and drawn again: in a parent whose window has begun anew since, all of it counts in the new one.
  const draws = account.parents
    .filter(parentId => accounts.has(parentId))
    .map(budgetId => {
      const grantId = runGrantId(id, budgetId);
      const held = accounts.get(budgetId)?.grants.get(grantId)?.remaining ?? 0n;
      change(accounts, budgetId, { type: 'trim', grantId, keep: 0n }, atMs);
      return { budgetId, grantId, atMs, need: held + more, want: held + more };
    });
  const outcome = drawAll(accounts, { owner: `budget:${id}`, draws });
  if (outcome.type === 'drawn') accounts.set(id, { ...account, limitNanoUsd });
  else for (const [each, old] of before) accounts.set(each, old);
  return outcome;
}

/** Charges of a run go up: each parent pays out of the grant that the run is. Budgets that were removed bear nothing. */
export function chargeAll(accounts: Accounts, charges: readonly Charge[], nowMs: number): ChargeOutcome {
  const alerts: BudgetAlert[] = [];
  let overdrawnNanoUsd = 0n;
  const waiting = sumUp(charges);
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { budgetId, ...rest } = next;
    const output = change(accounts, budgetId, { type: 'charge', charge: rest }, nowMs);
    if (output?.type !== 'charged') continue;
    for (const alert of output.alerts) alerts.push({ ...alert, budgetId });
    overdrawnNanoUsd += output.overdrawnNanoUsd;
    waiting.push(...upward(accounts, budgetId, next.nanoUsd, nowMs));
  }
  return { alerts, overdrawnNanoUsd };
}

export function trimAll(
  accounts: Accounts,
  trims: readonly { readonly budgetId: string; readonly grantId: string; readonly keep: bigint }[],
  nowMs: number,
): void {
  for (const { budgetId, grantId, keep } of trims)
    free(accounts, budgetId, { type: 'trim', grantId, keep }, nowMs);
}

export function reconcileGrant(
  accounts: Accounts,
  { budgetId, grantId, spentNanoUsd }: { budgetId: string; grantId: string; spentNanoUsd: bigint },
  nowMs: number,
): boolean {
  const isLost = accounts.get(budgetId)?.grants.get(grantId)?.state === 'lost';
  if (!isLost) return false;
  free(accounts, budgetId, { type: 'reconcile', grantId, spentNanoUsd }, nowMs);
  const up = upward(accounts, budgetId, spentNanoUsd, nowMs);
  chargeAll(accounts, up, nowMs);
  return true;
}

/**
 * What processes that are gone had spent of a budget is known, all of them together: so much of what they held in the present window is spent, the rest
 * is free again. They held `lostNanoUsd` when that was found out: where it is another sum by now, what one has left behind since is somebody's to find
 * out still. Sums alone are compared: where all was settled meanwhile and another process has left behind just as much, that is taken for it.
 *
 * @throws GatewayError not_found (`unknown_budget`), conflict (`lost_changed`, `more_than_lost`).
 */
export function reconcileBudget(
  accounts: Accounts,
  budgetId: string,
  { lostNanoUsd, spentNanoUsd, nowMs }: Reconciliation & { readonly nowMs: number },
): void {
  const account = accounts.get(budgetId);
  if (account === undefined) throw unknownBudget(budgetId);
  const lost = lostGrants(account, nowMs);
  const heldNanoUsd = lost.reduce((sum, { remaining }) => sum + remaining, 0n);
  if (heldNanoUsd !== lostNanoUsd) throw lostChanged(budgetId, { heldNanoUsd, lostNanoUsd });
  if (spentNanoUsd > heldNanoUsd) throw moreThanLost(heldNanoUsd);
  let restNanoUsd = spentNanoUsd;
  for (const { id: grantId, remaining } of lost) {
    const spentOfIt = smaller(restNanoUsd, remaining);
    reconcileGrant(accounts, { budgetId, grantId, spentNanoUsd: spentOfIt }, nowMs);
    restNanoUsd -= spentOfIt;
  }
}

/** Nothing more is given out; what is not out goes back to the parents. */
export function closeAccount(accounts: Accounts, budgetId: string, nowMs: number): void {
  const account = accounts.get(budgetId);
  if (account === undefined || account.isClosed) return;
  const rest = available(account, nowMs);
  accounts.set(budgetId, { ...account, isClosed: true });
  giveToParents(accounts, budgetId, rest, nowMs);
}

function change(
  accounts: Accounts,
  id: string,
  event: AccountEvent,
  nowMs: number,
): AccountOutput | undefined {
  const placed = accounts.get(id);
  if (placed === undefined) return undefined;
  const [account, output] = apply(placed, event, nowMs);
  accounts.set(id, { ...account, parents: placed.parents });
  return output;
}

/** What comes back to a closed budget belongs to its parents. */
function free(accounts: Accounts, id: string, event: AccountEvent, nowMs: number): void {
  const output = change(accounts, id, event, nowMs);
  if (output?.type === 'freed' && accounts.get(id)?.isClosed === true)
    giveToParents(accounts, id, output.nanoUsd, nowMs);
}

function giveToParents(accounts: Accounts, id: string, nanoUsd: bigint, nowMs: number): void {
  if (nanoUsd <= 0n) return;
  for (const parentId of accounts.get(id)?.parents ?? []) {
    const grantId = runGrantId(id, parentId);
    const remaining = accounts.get(parentId)?.grants.get(grantId)?.remaining ?? 0n;
    const keep = remaining > nanoUsd ? remaining - nanoUsd : 0n;
    free(accounts, parentId, { type: 'trim', grantId, keep }, nowMs);
  }
}

function upward(accounts: Accounts, id: string, nanoUsd: bigint, nowMs: number): Charge[] {
  return (accounts.get(id)?.parents ?? []).flatMap(budgetId => {
    const parent = accounts.get(budgetId);
    if (parent === undefined) return [];
    const grantId = runGrantId(id, budgetId);
    const period = parent.grants.get(grantId)?.period ?? viewAt(parent.window, nowMs).period;
    return [{ budgetId, grantId, period, nanoUsd }];
  });
}

/** Many requests of one process pay out of the same grants. */
function sumUp(charges: readonly Charge[]): Charge[] {
  const sums = new Map<string, Charge>();
  for (const charge of charges) {
    const key = `${charge.budgetId}\n${charge.grantId}\n${charge.period}`;
    sums.set(key, { ...charge, nanoUsd: charge.nanoUsd + (sums.get(key)?.nanoUsd ?? 0n) });
  }
  return [...sums.values()].filter(({ nanoUsd }) => nanoUsd > 0n);
}
