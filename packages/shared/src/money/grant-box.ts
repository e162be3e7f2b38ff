import type { Clock } from '../clock.ts';
import type { Budget, Charge } from './budget.ts';
import type { BudgetStore, DrawOutcome } from './budget-store.ts';
import { countsByPeriod, viewAt } from './budget-window.ts';
import { larger } from './nano-usd.ts';
import { applyToPurse, emptyPurse, freeIn, type Purse } from './purse.ts';

/** A grant that this process holds, of one budget in one period. */
export interface HeldGrant {
  readonly budget: Budget;
  readonly grantId: string;
  readonly period: number;
  /** When another period begins, and with it another grant. */
  readonly endsAtMs: number;
  purse: Purse;
  /** How much more than it needs the next draw asks for: what a second or two of requests use. */
  slice: bigint;
  drawnAtMs: number;
  usedAtMs: number;
  /** The store may believe that this process holds more than it does: it must be told. */
  isUnsure: boolean;
  refused: { readonly askedAtMs: number; readonly availableNanoUsd: bigint } | undefined;
}

export type BoxOutcome =
  | { readonly type: 'reserved' | 'taken-by-others' | 'unknown-budget' }
  | { readonly type: 'refused'; readonly grant: HeldGrant; readonly availableNanoUsd: bigint };

/** A draw that comes sooner after the last one asks for twice as much, one that comes much later for half. */
const soonMs = 1000;
const lateMs = 10_000;
/** What is not used for so long is given back. */
const idleMs = 5000;

/**
 * The grants of one process. Reserving, settling and reporting are arithmetic in memory; `drawAndReserve` and `maintain` ask the store, one at a
 * time. Nothing is reserved once the lease has ended in which the store believes in this process.
 */
export class GrantBox {
  readonly #store: BudgetStore;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #newOwner: () => string;
  readonly #current = new Map<string, HeldGrant>();
  readonly #all = new Map<string, HeldGrant>();
  readonly #awaited = new Map<string, bigint>();
  #owner: string;
  /** Monotonic. */
  #leaseUntilMs = Number.NEGATIVE_INFINITY;
  #hasDrawn = false;

  constructor(options: { store: BudgetStore; clock: Clock; leaseMs: number; newOwner: () => string }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs;
    this.#newOwner = options.newOwner;
    this.#owner = options.newOwner();
  }

  /** The grant of the budget's present period; empty at first. */
  grantOf(budget: Budget): HeldGrant {
    const nowMs = this.#clock.now();
    const known = this.#current.get(budget.id);
    if (known !== undefined && nowMs >= known.period && nowMs < known.endsAtMs) return known;
    const isByPeriod = countsByPeriod(budget.window);
    const view = viewAt(budget.window, nowMs);
    const period = isByPeriod ? view.period : 0;
    const grantId = `${this.#owner}/${budget.id}/${period}`;
    const grant: HeldGrant = this.#all.get(grantId) ?? {
      budget,
      grantId,
      period,
      endsAtMs: isByPeriod ? view.endsAtMs : Number.MAX_SAFE_INTEGER,
      purse: emptyPurse,
      slice: 0n,
      drawnAtMs: Number.NEGATIVE_INFINITY,
      usedAtMs: this.#clock.monotonic(),
      isUnsure: false,
      refused: undefined,
    };
    this.#current.set(budget.id, grant);
    this.#all.set(grantId, grant);
    return grant;
  }

  grantsOf(budgets: readonly Budget[]): HeldGrant[] {
    return budgets.map(budget => this.grantOf(budget));
  }

  /** Somebody waits for so much out of each; whoever draws before asks for it too. Returns how to stop waiting. */
  waitFor(budgets: readonly Budget[], nanoUsd: bigint): () => void {
    const add = (amount: bigint) => {
      for (const { id } of budgets) {
        const sum = (this.#awaited.get(id) ?? 0n) + amount;
        if (sum === 0n) this.#awaited.delete(id);
        else this.#awaited.set(id, sum);
      }
    };
    add(nanoUsd);
    return () => add(-nanoUsd);
  }

  /** Out of all or none. False when one has not enough, or the lease has ended. */
  reserve(grants: readonly HeldGrant[], nanoUsd: bigint): boolean {
    if (grants.length === 0) return true;
    const nowMs = this.#clock.monotonic();
    if (nowMs >= this.#leaseUntilMs) return false;
    for (const { purse, grantId } of grants) {
      if (freeIn(purse) < nanoUsd || !this.#all.has(grantId)) return false;
    }
    for (const grant of grants) {
      grant.purse = applyToPurse(grant.purse, { type: 'reserved', nanoUsd });
      grant.usedAtMs = nowMs;
    }
    return true;
  }

  settle(
    grants: readonly HeldGrant[],
    amounts: { readonly reservedNanoUsd: bigint; readonly spentNanoUsd: bigint },
  ): void {
    for (const grant of grants) {
      grant.purse = applyToPurse(grant.purse, { type: 'settled', ...amounts });
      grant.refused = undefined; // there may be room again
    }
  }

  reported(charges: readonly Charge[]): void {
    for (const { grantId, nanoUsd } of charges) {
      const grant = grantId === undefined ? undefined : this.#all.get(grantId);
      if (grant !== undefined) grant.purse = applyToPurse(grant.purse, { type: 'reported', nanoUsd });
    }
  }

  /** What the store had left when it was asked at `sinceMs` or later, monotonic, and refused as much. */
  knownShortage({ purse, refused }: HeldGrant, nanoUsd: bigint, sinceMs: number): bigint | undefined {
    if (refused === undefined || refused.askedAtMs < sinceMs) return undefined;
    return nanoUsd - freeIn(purse) > refused.availableNanoUsd ? refused.availableNanoUsd : undefined;
  }

  async drawAndReserve(grants: readonly HeldGrant[], nanoUsd: bigint): Promise<BoxOutcome> {
    const sentAtMs = this.#clock.monotonic();
    if (!(await this.#stillBelievedIn(sentAtMs))) return { type: 'unknown-budget' };
    const short = grants.filter(({ purse }) => freeIn(purse) < nanoUsd);
    const draws = short.map(grant => {
      grant.slice = nextSlice(grant, nanoUsd, sentAtMs);
      const need = nanoUsd - freeIn(grant.purse);
      const atMs = Math.min(this.#clock.now(), grant.endsAtMs - 1);
      return {
        budgetId: grant.budget.id,
        grantId: grant.grantId,
        atMs,
        need,
        want: need + larger(grant.slice, this.#awaited.get(grant.budget.id) ?? 0n),
      };
    });
    const leaseUntilMs = this.#clock.now() + this.#leaseMs;
    const request = { owner: this.#owner, leaseUntilMs, draws };
    const outcome = await this.#store.draw(request).catch(error => {
      for (const grant of short) grant.isUnsure = true;
      throw error;
    });
    this.#hasDrawn = true;
    this.#leaseUntilMs = sentAtMs + this.#leaseMs;
    const taken = this.#take(short, outcome, sentAtMs);
    if (taken !== 'drawn') return taken;
    return { type: this.reserve(grants, nanoUsd) ? 'reserved' : 'taken-by-others' };
  }

  /** Keeps the lease, and gives back what lies idle or belongs to a period that is over. */
  async maintain(): Promise<void> {
    const nowMs = this.#clock.monotonic();
    if (!this.#hasDrawn) return;
    if (this.#leaseUntilMs - nowMs < (this.#leaseMs * 2) / 3) await this.#renew(nowMs);
    await this.#giveBack(grant => this.#isOver(grant) || nowMs - grant.usedAtMs > idleMs);
    for (const grant of this.#all.values()) {
      const { remaining, reserved, unreported } = grant.purse;
      const isEmpty = remaining === 0n && reserved === 0n && unreported === 0n && !grant.isUnsure;
      if (isEmpty && (this.#isOver(grant) || nowMs - grant.usedAtMs > idleMs)) this.#forget(grant);
    }
  }

  async close(): Promise<void> {
    if (!this.#hasDrawn) return;
    await this.#giveBack(() => true);
    await this.#store.leave(this.#owner);
  }

  #take(grants: readonly HeldGrant[], outcome: DrawOutcome, atMs: number): BoxOutcome | 'drawn' {
    switch (outcome.type) {
      case 'drawn':
        for (const [index, grant] of grants.entries()) {
          grant.purse = applyToPurse(grant.purse, { type: 'filled', nanoUsd: outcome.nanoUsd[index] ?? 0n });
          grant.drawnAtMs = atMs;
          grant.refused = undefined;
        }
        return 'drawn';
      case 'refused': {
        const grant = grants.find(each => each.budget.id === outcome.budgetId);
        if (grant === undefined) return { type: 'unknown-budget' };
        const { availableNanoUsd } = outcome;
        grant.refused = { askedAtMs: atMs, availableNanoUsd };
        return {
          type: 'refused',
          grant,
          availableNanoUsd: availableNanoUsd + larger(freeIn(grant.purse), 0n),
        };
      }
      case 'unknown-budget':
        for (const grant of grants) if (grant.budget.id === outcome.budgetId) this.#forget(grant);
        return { type: 'unknown-budget' };
    }
  }

  /** After a lease that ended, only the store can say whether what is held here still counts. */
  async #stillBelievedIn(nowMs: number): Promise<boolean> {
    if (!this.#hasDrawn || nowMs < this.#leaseUntilMs) return true;
    return this.#renew(nowMs);
  }

  async #renew(nowMs: number): Promise<boolean> {
    if (await this.#store.renew(this.#owner, this.#clock.now() + this.#leaseMs)) {
      this.#leaseUntilMs = nowMs + this.#leaseMs;
      return true;
    }
    // What was held is lost. Requests under way still settle against it, by its name.
    this.#owner = this.#newOwner();
    this.#hasDrawn = false;
    this.#leaseUntilMs = Number.NEGATIVE_INFINITY;
    this.#current.clear();
    this.#all.clear();
    return false;
  }

  async #giveBack(isWanted: (grant: HeldGrant) => boolean): Promise<void> {
    const trimmed = [...this.#all.values()].filter(
      grant => grant.isUnsure || (isWanted(grant) && freeIn(grant.purse) > 0n),
    );
    if (trimmed.length === 0) return;
    for (const grant of trimmed) {
      const nanoUsd = larger(freeIn(grant.purse), 0n);
      grant.purse = applyToPurse(grant.purse, { type: 'given-back', nanoUsd });
      grant.isUnsure = true;
    }
    await this.#store.trim(
      trimmed.map(({ budget, grantId, purse }) => ({ budgetId: budget.id, grantId, keep: purse.remaining })),
    );
    for (const grant of trimmed) grant.isUnsure = false;
  }

  #isOver({ endsAtMs }: HeldGrant): boolean {
    return this.#clock.now() >= endsAtMs;
  }

  #forget(grant: HeldGrant): void {
    this.#all.delete(grant.grantId);
    if (this.#current.get(grant.budget.id) === grant) this.#current.delete(grant.budget.id);
  }
}

function nextSlice({ slice, drawnAtMs }: HeldGrant, nanoUsd: bigint, nowMs: number): bigint {
  if (slice === 0n) return 4n * nanoUsd;
  const sinceMs = nowMs - drawnAtMs;
  if (sinceMs < soonMs) return 2n * slice;
  return sinceMs > lateMs ? larger(nanoUsd, slice / 2n) : slice;
}
