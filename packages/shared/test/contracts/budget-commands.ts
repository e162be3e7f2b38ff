import type { BudgetStore } from '@strata/shared/money/budget-store.ts';
import type { BudgetWindow } from '@strata/shared/money/budget-window.ts';
import { viewAt } from '@strata/shared/money/budget-window.ts';
import { smaller } from '@strata/shared/money/nano-usd.ts';
import type { ManualClock } from '@strata/shared/testing/manual-clock.ts';
import fc from 'fast-check';

/** What can happen to budgets, as data: the same list is played to every store. */
export type BudgetCommand =
  | {
      readonly type: 'draw';
      readonly owner: string;
      readonly budgets: readonly number[];
      readonly need: bigint;
      readonly more: bigint;
    }
  | {
      readonly type: 'charge';
      readonly owner: string | undefined;
      readonly budget: number;
      readonly nanoUsd: bigint;
      readonly isOld: boolean;
    }
  | { readonly type: 'trim'; readonly owner: string; readonly budget: number; readonly keep: bigint }
  | { readonly type: 'renew' | 'leave'; readonly owner: string }
  | { readonly type: 'reap' }
  | { readonly type: 'reconcile'; readonly nanoUsd: bigint }
  | {
      readonly type: 'open-run' | 'close-run';
      readonly run: number;
      readonly limit: bigint;
      readonly parents: readonly number[];
    }
  | { readonly type: 'raise'; readonly budget: number; readonly by: bigint }
  | { readonly type: 'wait'; readonly ms: number };

const day = 86_400_000;
export const leaseMs = 30_000;

export const contractWindows: readonly BudgetWindow[] = [
  { type: 'total' },
  { type: 'day', timeZone: 'Europe/Berlin' },
  { type: 'rolling', ms: 3_600_000 },
];
export const contractLimit = 10_000n;

const budgetNames = ['all', 'daily', 'hourly', 'run-0', 'run-1'] as const;
export const baseBudgets = budgetNames.slice(0, 3);
const nameOf = (index: number) => budgetNames[index] ?? 'all';

const owner = fc.constantFrom('one', 'two');
const budget = fc.nat(4);
const amount = fc.bigInt({ min: 0n, max: 4000n });

export const budgetCommand: fc.Arbitrary<BudgetCommand> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('draw' as const),
      owner,
      budgets: fc.uniqueArray(budget, { minLength: 1, maxLength: 3 }),
      need: amount,
      more: amount,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('charge' as const),
      owner: fc.option(owner, { nil: undefined }),
      budget,
      nanoUsd: amount,
      isOld: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('trim' as const), owner, budget, keep: amount }) },
  fc.record({ type: fc.constantFrom('renew' as const, 'leave' as const), owner }),
  fc.record({ type: fc.constant('reap' as const) }),
  fc.record({ type: fc.constant('reconcile' as const), nanoUsd: amount }),
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom('open-run' as const, 'close-run' as const),
      run: fc.nat(1),
      limit: amount,
      parents: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 2 }),
    }),
  },
  fc.record({ type: fc.constant('raise' as const), budget, by: amount }),
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 40_000, 900_000, day),
    }),
  },
);

/** What a player believes it holds, so that most charges are covered. */
export interface Beliefs {
  readonly held: Map<string, { budgetId: string; grantId: string; period: number; nanoUsd: bigint }>;
  overdrawn: bigint;
}

const windowOf = (index: number): BudgetWindow => contractWindows[index] ?? { type: 'total' };

/** Plays one command. Answers are plain data, so that two stores can be compared. */
export async function runBudgetCommand(
  store: BudgetStore,
  command: BudgetCommand,
  clock: ManualClock,
  beliefs: Beliefs,
): Promise<unknown> {
  switch (command.type) {
    case 'draw': {
      const draws = command.budgets.map(index => {
        const { period } = viewAt(windowOf(index), clock.now());
        const budgetId = nameOf(index);
        return {
          budgetId,
          grantId: `${command.owner}/${budgetId}/${period}`,
          atMs: clock.now(),
          need: command.need,
          want: command.need + command.more,
        };
      });
      const outcome = await store.draw({ owner: command.owner, leaseUntilMs: clock.now() + leaseMs, draws });
      if (outcome.type !== 'drawn') return outcome;
      for (const [place, { budgetId, grantId }] of draws.entries()) {
        const index = command.budgets[place] ?? 0;
        const { period } = viewAt(windowOf(index), clock.now());
        const before = beliefs.held.get(`${command.owner}${index}`);
        const nanoUsd = (before?.grantId === grantId ? before.nanoUsd : 0n) + (outcome.nanoUsd[place] ?? 0n);
        beliefs.held.set(`${command.owner}${index}`, { budgetId, grantId, period, nanoUsd });
      }
      return outcome;
    }
    case 'charge': {
      const held = beliefs.held.get(`${command.owner}${command.budget}`);
      if (held === undefined) return 'nothing held';
      const nanoUsd = smaller(command.nanoUsd, held.nanoUsd);
      held.nanoUsd -= nanoUsd;
      const { budgetId, grantId, period } = held;
      const outcome = await store.charge([{ budgetId, grantId, period, nanoUsd }]);
      beliefs.overdrawn += outcome.overdrawnNanoUsd;
      return outcome;
    }
    case 'trim': {
      const held = beliefs.held.get(`${command.owner}${command.budget}`);
      if (held === undefined) return 'nothing held';
      held.nanoUsd = smaller(command.keep, held.nanoUsd);
      return store.trim([{ ...held, keep: command.keep }]);
    }
    case 'renew':
      return store.renew(command.owner, clock.now() + leaseMs);
    case 'leave':
      for (const key of beliefs.held.keys()) if (key.startsWith(command.owner)) beliefs.held.delete(key);
      return store.leave(command.owner);
    case 'reap': {
      const gone = await store.reap(clock.now());
      for (const key of beliefs.held.keys()) if (gone.includes(key.slice(0, -1))) beliefs.held.delete(key);
      return gone;
    }
    case 'reconcile': {
      const [lost] = (await store.lostGrants()).sort((left, right) =>
        left.grantId < right.grantId ? -1 : 1,
      );
      if (lost === undefined) return 'nothing lost';
      const spentNanoUsd = smaller(command.nanoUsd, lost.nanoUsd);
      return [lost, await store.reconcile({ ...lost, spentNanoUsd })];
    }
    case 'open-run':
      return store.openRun({
        id: `run-${command.run}`,
        tenant: 'acme',
        runId: `run_${command.run}`,
        limitNanoUsd: command.limit,
        parents: command.parents.map(nameOf).filter(id => id < `run-${command.run}`),
      });
    case 'close-run':
      return store.closeRun(`run-${command.run}`);
    case 'raise': {
      const id = nameOf(command.budget);
      const found = await store.find(id);
      if (found === undefined || found.subject.kind === 'run') return 'not raised';
      const changed = await store.update(id, { limitNanoUsd: found.limitNanoUsd + command.by });
      return { ...changed, isClosed: false };
    }
    case 'wait':
      await clock.advance(command.ms);
      return undefined;
  }
}

export const allBudgetIds: readonly string[] = budgetNames;
