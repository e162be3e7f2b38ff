import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { newId } from '../ids.ts';
import { storeUnavailable } from '../stores/store-errors.ts';
import { createTurns } from '../stores/turns.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Budget, BudgetAlert, Charge } from './budget.ts';
import { BudgetDirectory, type Spender } from './budget-directory.ts';
import { budgetExceeded } from './budget-errors.ts';
import type { BudgetStore, ChargeOutcome } from './budget-store.ts';
import { viewAt } from './budget-window.ts';
import { GrantBox, type HeldGrant } from './grant-box.ts';
import { subjectText } from './subject.ts';

/** Money set aside for one request, in every budget that bears it. */
export interface Reservation {
  readonly nanoUsd: bigint;
  /** The request has ended and cost that much; 0 gives everything back. Only the first call does anything; later ones return nothing. */
  settle(spentNanoUsd: bigint): readonly Charge[];
}

export interface Budgets {
  /**
   * Sets the worst case aside in all budgets of the spender at once, or in none. Asks the store only when what this process holds is
   * not enough. `worstCase` is asked only where a hard budget is in force; undefined says that nobody knows.
   *
   * Undefined when no budget bears what the spender spends; at once where that is known without asking.
   *
   * @throws GatewayError budget_exceeded (`budget_exceeded`, `run_budget_unknown`, `cost_unknown`), overloaded (`store_unavailable`).
   */
  reserve(
    spender: Spender,
    worstCase: () => bigint | undefined,
  ): Promise<Reservation | undefined> | undefined;
  /** What the ledger has booked. */
  charged(charges: readonly Charge[], outcome: ChargeOutcome): void;
  /**
   * A run's budget, set aside in the hard budgets of whoever starts it. Doing it again changes nothing, or raises it.
   *
   * @throws GatewayError budget_exceeded.
   */
  openRun(run: {
    readonly id: string;
    readonly runId: string;
    readonly limitNanoUsd: bigint;
    readonly starter: Spender;
  }): Promise<void>;
  closeRun(id: string): Promise<void>;
  /** Where budgets are kept and changed. */
  readonly store: BudgetStore;
  /** Gives back what this process holds. Everything settled must have been charged before. */
  close(): Promise<void>;
}

export interface BudgetsOptions {
  readonly store: BudgetStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the store believes in a process that says nothing. */
  readonly leaseMs: number;
}

const maxWaitMs = 5000;
/** For how long a refusal of the store stands without asking again. */
const refusalMs = 10;
const maxTries = 10;
const tickMs = 1000;
/** Other clocks may be ahead by this much before what a living process holds is taken for lost. */
const reapGraceMs = 30_000;

export function createBudgets({ store, clock, log, leaseMs }: BudgetsOptions): Budgets {
  const directory = new BudgetDirectory({ store, clock, maxAgeMs: leaseMs });
  const box = new GrantBox({ store, clock, leaseMs, newOwner: () => newId('holder', clock.now()) });
  const turns = createTurns({
    maxWaitMs,
    onTimeout: () => storeUnavailable(new Error('Other requests of this process wait for a grant')),
  });

  let lastReapMs = clock.monotonic();
  const tick = async () => {
    void directory.look().catch(() => {}); // whoever must wait for it is told
    const release = await turns.take();
    try {
      await box.maintain();
    } finally {
      release();
    }
    if (clock.monotonic() - lastReapMs < leaseMs) return;
    lastReapMs = clock.monotonic();
    const gone = await store.reap(clock.now() - reapGraceMs);
    if (gone.length > 0)
      log.warn({ holders: gone }, 'processes are gone; what they held of budgets counts as spent');
  };
  let timer = clock.schedule(tickMs, beat);
  function beat(): void {
    tick()
      .catch(error => log.warn({ error }, 'grants could not be looked after'))
      .finally(() => {
        if (!isClosed) timer = clock.schedule(tickMs, beat);
      });
  }
  let isClosed = false;

  /** Waits for its turn at the store; whoever is before draws for the whole line. */
  async function refill(budgets: readonly Budget[], nanoUsd: bigint): Promise<readonly HeldGrant[]> {
    const cameAtMs = clock.monotonic();
    for (const grant of box.grantsOf(budgets)) requireNotJustRefused(grant, nanoUsd, cameAtMs);
    const leaveLine = box.waitFor(budgets, nanoUsd);
    const release = await turns.take().finally(leaveLine);
    try {
      const grants = box.grantsOf(budgets); // meanwhile a window may have ended
      if (box.reserve(grants, nanoUsd)) return grants;
      for (const grant of grants) requireNotJustRefused(grant, nanoUsd, cameAtMs);
      let outcome = await box.drawAndReserve(grants, nanoUsd);
      // Requests that needed no draw may have taken meanwhile what was free before.
      for (let tries = 1; outcome.type === 'taken-by-others' && tries < maxTries; tries++) {
        outcome = await box.drawAndReserve(grants, nanoUsd);
      }
      if (outcome.type === 'reserved') return grants;
      if (outcome.type === 'refused') throw refusedBy(outcome.grant, nanoUsd, outcome.availableNanoUsd);
      if (outcome.type === 'unknown-budget') directory.forget();
      throw new GatewayError('overloaded', 'Budgets were changed at this moment. Try again.', {
        reason: 'budgets_changing',
        retryAfterMs: 1000,
      });
    } finally {
      release();
    }
  }

  async function reserveIn(
    bearing: readonly Budget[] | Promise<readonly Budget[]>,
    worstCase: () => bigint | undefined,
  ): Promise<Reservation | undefined> {
    const budgets = await bearing;
    if (budgets.length === 0) return undefined;
    const hard = budgets.filter(budget => budget.mode === 'hard');
    const soft = budgets.filter(budget => budget.mode === 'soft');
    const nanoUsd = hard.length === 0 ? 0n : worstCase();
    if (nanoUsd === undefined) throw costUnknown();
    const ready = box.grantsOf(hard);
    const grants = box.reserve(ready, nanoUsd) ? ready : await refill(hard, nanoUsd);
    return reservationOf({ grants, soft, nanoUsd, box, clock });
  }

  /**
   * One refusal of the store answers for the burst of requests around it. That of a run answers for those alone that waited for it: whoever was paused
   * by it and given more is heard at once.
   */
  function requireNotJustRefused(grant: HeldGrant, nanoUsd: bigint, cameAtMs: number): void {
    const sinceMs = grant.budget.subject.kind === 'run' ? cameAtMs : cameAtMs - refusalMs;
    const availableNanoUsd = box.knownShortage(grant, nanoUsd, sinceMs);
    if (availableNanoUsd !== undefined) throw refusedBy(grant, nanoUsd, availableNanoUsd);
  }

  const refusedBy = ({ budget }: HeldGrant, neededNanoUsd: bigint, availableNanoUsd: bigint) =>
    budgetExceeded({
      subject: budget.subject,
      neededNanoUsd,
      availableNanoUsd,
      resetsAtMs: resetOf(budget, clock),
    });

  /** With what names the budget to people, where the store still answers. */
  async function tell({ spentNanoUsd, limitNanoUsd, ...alert }: BudgetAlert): Promise<void> {
    const budget = await store.find(alert.budgetId).catch(() => undefined);
    const names = budget && {
      tenant: budget.tenant,
      subject: subjectText(budget.subject),
      mode: budget.mode,
    };
    log.warn(
      { ...alert, ...names, spent: String(spentNanoUsd), limit: String(limitNanoUsd) },
      'a budget is used up to a part',
    );
  }

  return {
    store,
    reserve(spender, worstCase) {
      const found = directory.find(spender);
      if (!(found instanceof Promise) && found.length === 0) return undefined;
      return reserveIn(found, worstCase).catch((error: unknown) => {
        if (!(error instanceof GatewayError) || error.reason !== 'budgets_changing') throw error;
        return reserveIn(directory.find(spender), worstCase);
      });
    },
    charged(charges, { alerts, overdrawnNanoUsd }) {
      box.reported(charges);
      for (const alert of alerts) void tell(alert);
      if (overdrawnNanoUsd > 0n) {
        log.error(
          { nanoUsd: String(overdrawnNanoUsd) },
          'upstreams charged more than the worst case that was set aside',
        );
      }
    },
    async openRun({ id, runId, limitNanoUsd, starter }) {
      const bearers = (await directory.find(starter)).filter(budget => budget.mode === 'hard');
      const parents = bearers.map(budget => budget.id);
      const outcome = await store.openRun({ id, tenant: starter.tenant, runId, limitNanoUsd, parents });
      if (outcome.type === 'drawn') return;
      const spentNanoUsd = (await store.totals(id))?.spentNanoUsd ?? 0n;
      const refusing = bearers.find(budget => budget.id === outcome.budgetId);
      throw budgetExceeded({
        subject: refusing?.subject ?? { kind: 'run', id: runId },
        neededNanoUsd: limitNanoUsd - spentNanoUsd,
        availableNanoUsd: outcome.type === 'refused' ? outcome.availableNanoUsd : 0n,
        resetsAtMs: refusing && resetOf(refusing, clock),
      });
    },
    async closeRun(id) {
      await store.closeRun(id);
    },
    async close() {
      isClosed = true;
      timer.cancel();
      const release = await turns.take();
      try {
        await box.close();
      } catch (error) {
        log.warn({ error }, 'grants could not be given back; they count as spent once the lease has ended');
      } finally {
        release();
      }
    },
  };
}

function reservationOf(options: {
  readonly grants: readonly HeldGrant[];
  readonly soft: readonly Budget[];
  readonly nanoUsd: bigint;
  readonly box: GrantBox;
  readonly clock: Clock;
}): Reservation {
  const { grants, soft, nanoUsd, box, clock } = options;
  const softPeriods = soft.map(budget => viewAt(budget.window, clock.now()).period);
  let isSettled = false;
  return {
    nanoUsd,
    settle(spentNanoUsd) {
      if (isSettled) return [];
      isSettled = true;
      box.settle(grants, { reservedNanoUsd: nanoUsd, spentNanoUsd });
      if (spentNanoUsd === 0n) return [];
      return [
        ...grants.map(({ budget, grantId, period }) => ({
          budgetId: budget.id,
          grantId,
          period,
          nanoUsd: spentNanoUsd,
        })),
        ...soft.map((budget, index) => ({
          budgetId: budget.id,
          grantId: undefined,
          period: softPeriods[index] ?? 0,
          nanoUsd: spentNanoUsd,
        })),
      ];
    },
  };
}

function resetOf({ window }: Budget, clock: Clock): number | undefined {
  const isCalendar = window.type === 'day' || window.type === 'week' || window.type === 'month';
  return isCalendar ? viewAt(window, clock.now()).endsAtMs : undefined;
}

function costUnknown(): GatewayError {
  return new GatewayError(
    'budget_exceeded',
    'What this request may cost is not known, and a budget holds for it. Ask the operator to set a price.',
    { reason: 'cost_unknown' },
  );
}
