import { alertPercents, type BudgetAlert, type Charge } from './budget.ts';
import { type BudgetWindow, countsByPeriod, viewAt } from './budget-window.ts';
import { larger, smaller } from './nano-usd.ts';

/**
 * The arithmetic of one budget, without time and storage of its own ($-1). At every state that a draw leaves behind,
 *
 *     spent + open grants + lost grants ≤ limit
 *
 * A grant is a part of the budget that somebody was given to spend: a process for its requests, or a run for all its calls. It is worth
 * its `remaining`, which falls as costs are charged to it. When its owner is gone it is lost: what remains of it counts as spent until
 * somebody knows better.
 */
export interface Account {
  readonly limitNanoUsd: bigint;
  readonly window: BudgetWindow;
  readonly isClosed: boolean;
  /** By period, of those that count. Of others it may be a part alone, and is only ever added to. */
  readonly spent: ReadonlyMap<number, bigint>;
  readonly grants: ReadonlyMap<string, Grant>;
}

export interface Grant {
  readonly id: string;
  /** The process or, as `budget:…`, the budget that spends it. */
  readonly owner: string;
  /** In which it was drawn; of a lost one, in which it was lost. */
  readonly period: number;
  readonly remaining: bigint;
  readonly state: 'open' | 'lost';
}

export type AccountEvent =
  /** Adds to the grant what is asked, at least `need` and, where that is no large part of what is left, up to `want`. */
  | {
      readonly type: 'draw';
      readonly grantId: string;
      readonly owner: string;
      readonly need: bigint;
      readonly want: bigint;
    }
  | { readonly type: 'charge'; readonly charge: Omit<Charge, 'budgetId'> }
  /** Takes back what the owner does not hold any more. */
  | { readonly type: 'trim'; readonly grantId: string; readonly keep: bigint }
  | { readonly type: 'lose'; readonly owner: string }
  /** What a lost grant was really used for is known: that is spent, the rest is free again. */
  | { readonly type: 'reconcile'; readonly grantId: string; readonly spentNanoUsd: bigint };

export type AccountOutput =
  | { readonly type: 'drawn'; readonly nanoUsd: bigint }
  | { readonly type: 'refused'; readonly availableNanoUsd: bigint }
  | {
      readonly type: 'charged';
      readonly alerts: readonly Omit<BudgetAlert, 'budgetId'>[];
      readonly overdrawnNanoUsd: bigint;
    }
  | { readonly type: 'freed'; readonly nanoUsd: bigint };

/** A grant is never more than this part of what is left, unless a single request needs more: so that no process starves the others. */
const shareOfRest = 8n;

export function apply(account: Account, event: AccountEvent, nowMs: number): [Account, AccountOutput] {
  switch (event.type) {
    case 'draw':
      return draw(account, event, nowMs);
    case 'charge':
      return charge(account, event.charge, nowMs);
    case 'trim':
      return trim(account, event.grantId, event.keep);
    case 'lose':
      return lose(account, event.owner, nowMs);
    case 'reconcile':
      return reconcile(account, event.grantId, event.spentNanoUsd);
  }
}

/** What is spent in the window, and what is out in grants, open and lost. */
export function totals(account: Account, nowMs: number): { spent: bigint; open: bigint; lost: bigint } {
  const { countsFrom } = viewAt(account.window, nowMs);
  const isByPeriod = countsByPeriod(account.window);
  const sums = { spent: 0n, open: 0n, lost: 0n };
  for (const [period, spent] of account.spent) if (period >= countsFrom) sums.spent += spent;
  for (const { state, period, remaining } of account.grants.values()) {
    if (period >= countsFrom || (state === 'open' && !isByPeriod)) sums[state] += remaining;
  }
  return sums;
}

/** Of processes that are gone, as far as they count in the window. */
export function lostGrants({ window, grants }: Account, nowMs: number): Grant[] {
  const { countsFrom } = viewAt(window, nowMs);
  return [...grants.values()].filter(({ state, period }) => state === 'lost' && period >= countsFrom);
}

/** What may still be given out. Below 0 after the limit was lowered. */
export function available(account: Account, nowMs: number): bigint {
  if (account.isClosed) return 0n;
  const { spent, open, lost } = totals(account, nowMs);
  return account.limitNanoUsd - spent - open - lost;
}

function draw(
  account: Account,
  { grantId, owner, need, want }: AccountEvent & { type: 'draw' },
  nowMs: number,
): [Account, AccountOutput] {
  const left = available(account, nowMs);
  if (left < need || account.isClosed)
    return [account, { type: 'refused', availableNanoUsd: left < 0n ? 0n : left }];
  const nanoUsd = larger(need, smaller(want, left / shareOfRest));
  const known = account.grants.get(grantId);
  const { period } = viewAt(account.window, nowMs);
  const grant: Grant = {
    id: grantId,
    owner,
    period: known?.period ?? period,
    remaining: (known?.remaining ?? 0n) + nanoUsd,
    state: 'open',
  };
  return [withGrant(account, grant), { type: 'drawn', nanoUsd }];
}

/** A cost that happened is always booked, also where the grant has less: money that is gone cannot be refused. */
function charge(
  account: Account,
  { grantId, period, nanoUsd }: Omit<Charge, 'budgetId'>,
  nowMs: number,
): [Account, AccountOutput] {
  const view = viewAt(account.window, nowMs);
  const bookedIn = countsByPeriod(account.window) ? period : view.period;
  const grant = grantId === undefined ? undefined : account.grants.get(grantId);
  const covered = grant === undefined ? 0n : smaller(grant.remaining, nanoUsd);
  const spentInPeriod = (account.spent.get(bookedIn) ?? 0n) + nanoUsd;
  const spent = new Map(account.spent).set(bookedIn, spentInPeriod);
  const charged =
    grant === undefined ? account : withGrant(account, { ...grant, remaining: grant.remaining - covered });
  const next: Account = { ...charged, spent };
  const isCurrent = bookedIn >= view.countsFrom;
  const alerts = isCurrent ? crossed(account.limitNanoUsd, totals(account, nowMs).spent, nanoUsd) : [];
  return [
    next,
    {
      type: 'charged',
      alerts: alerts.map(alert => ({ ...alert, period: view.period })),
      overdrawnNanoUsd: grantId === undefined ? 0n : nanoUsd - covered,
    },
  ];
}

function crossed(limitNanoUsd: bigint, before: bigint, added: bigint) {
  const after = before + added;
  return alertPercents
    .filter(
      percent =>
        before * 100n < limitNanoUsd * BigInt(percent) && after * 100n >= limitNanoUsd * BigInt(percent),
    )
    .map(percent => ({ percent, spentNanoUsd: after, limitNanoUsd }));
}

function trim(account: Account, grantId: string, keep: bigint): [Account, AccountOutput] {
  const grant = account.grants.get(grantId);
  if (grant === undefined || grant.state === 'lost' || grant.remaining <= keep)
    return [account, { type: 'freed', nanoUsd: 0n }];
  return [
    withGrant(account, { ...grant, remaining: keep }),
    { type: 'freed', nanoUsd: grant.remaining - keep },
  ];
}

function lose(account: Account, owner: string, nowMs: number): [Account, AccountOutput] {
  const { period } = viewAt(account.window, nowMs);
  const isByPeriod = countsByPeriod(account.window);
  let next = account;
  for (const grant of account.grants.values()) {
    if (grant.owner !== owner || grant.state === 'lost') continue;
    next = withGrant(next, { ...grant, state: 'lost', period: isByPeriod ? grant.period : period });
  }
  return [next, { type: 'freed', nanoUsd: 0n }];
}

function reconcile(account: Account, grantId: string, spentNanoUsd: bigint): [Account, AccountOutput] {
  const grant = account.grants.get(grantId);
  if (grant === undefined || grant.state !== 'lost') return [account, { type: 'freed', nanoUsd: 0n }];
  const spent = new Map(account.spent).set(
    grant.period,
    (account.spent.get(grant.period) ?? 0n) + spentNanoUsd,
  );
  const freed = grant.remaining - smaller(grant.remaining, spentNanoUsd);
  return [
    { ...withGrant(account, { ...grant, remaining: 0n }), spent },
    { type: 'freed', nanoUsd: freed },
  ];
}

/** A grant that is used up is gone: its owner draws it anew. */
function withGrant(account: Account, grant: Grant): Account {
  const grants = new Map(account.grants);
  if (grant.remaining === 0n) grants.delete(grant.id);
  else grants.set(grant.id, grant);
  return { ...account, grants };
}
