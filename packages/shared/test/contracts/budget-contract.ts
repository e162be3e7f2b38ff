import type { BudgetStore, NewBudget } from '@strata/shared/money/budget-store.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

export interface OpenBudgets {
  readonly store: BudgetStore;
  close(): Promise<void>;
}

const day = 86_400_000;

export const budgetOf = (more: Partial<NewBudget> = {}): NewBudget => ({
  id: 'team',
  tenant: 'acme',
  subject: { kind: 'team', id: 'support' },
  limitNanoUsd: 1000n,
  window: { type: 'day', timeZone: 'UTC' },
  mode: 'hard',
  ...more,
});

/** What every budget store must do. */
export function budgetContract(name: string, open: (clock: ManualClock) => Promise<OpenBudgets>): void {
  describe(`${name} as a budget store`, () => {
    let opened: OpenBudgets;
    let clock: ManualClock;
    beforeEach(async () => {
      clock = createManualClock();
      opened = await open(clock);
    });
    afterEach(() => opened.close());

    const draw = (budgetIds: readonly string[], need: bigint, want = need, owner = 'one') =>
      opened.store.draw({
        owner,
        leaseUntilMs: clock.now() + 30_000,
        draws: budgetIds.map(budgetId => ({
          budgetId,
          grantId: `${owner}/${budgetId}`,
          atMs: clock.now(),
          need,
          want,
        })),
      });
    const totals = (id = 'team') => opened.store.totals(id);

    test('[$-1] a grant is taken from what is left, and what is charged to it is spent', async () => {
      const { store } = opened;
      await store.create(budgetOf());
      expect(await draw(['team'], 100n, 900n)).toEqual({ type: 'drawn', nanoUsd: [125n] }); // an eighth of the rest
      expect(await draw(['team'], 875n)).toEqual({ type: 'drawn', nanoUsd: [875n] });
      expect(await draw(['team'], 1n)).toMatchObject({
        type: 'refused',
        budgetId: 'team',
        availableNanoUsd: 0n,
      });
      await store.charge([{ budgetId: 'team', grantId: 'one/team', period: clock.now(), nanoUsd: 40n }]);
      expect(await totals()).toEqual({
        limitNanoUsd: 1000n,
        spentNanoUsd: 40n,
        openNanoUsd: 960n,
        lostNanoUsd: 0n,
      });
      await store.trim([{ budgetId: 'team', grantId: 'one/team', keep: 60n }]);
      expect(await totals()).toMatchObject({ spentNanoUsd: 40n, openNanoUsd: 60n });
    });

    test('[$-1] all scopes or none: what one of them refuses is taken from none', async () => {
      const { store } = opened;
      await store.create(budgetOf({ id: 'org', limitNanoUsd: 5000n }));
      await store.create(budgetOf({ id: 'key', limitNanoUsd: 10n }));
      expect(await draw(['org', 'key'], 11n)).toMatchObject({
        type: 'refused',
        budgetId: 'key',
        availableNanoUsd: 10n,
      });
      expect(await totals('org')).toMatchObject({ openNanoUsd: 0n });
      expect(await draw(['org', 'nowhere'], 1n)).toEqual({ type: 'unknown-budget', budgetId: 'nowhere' });
    });

    test('[$-1] [I4] two that draw at the same moment never get more than there is', async () => {
      await opened.store.create(budgetOf());
      const owners = Array.from({ length: 12 }, (_, index) => `owner-${index}`);
      const outcomes = await Promise.all(owners.map(owner => draw(['team'], 300n, 300n, owner)));
      expect(outcomes.filter(outcome => outcome.type === 'drawn')).toHaveLength(3);
      expect(await totals()).toMatchObject({ openNanoUsd: 900n });
    });

    test('[$-1] what an owner held when its lease ended counts as spent until somebody knows better', async () => {
      const { store } = opened;
      await store.create(budgetOf({ window: { type: 'total' } }));
      await draw(['team'], 600n);
      expect(await store.reap(clock.now())).toEqual([]);
      await clock.advance(31_000);
      expect(await store.reap(clock.now())).toEqual(['one']);
      expect(await store.renew('one', clock.now() + 1)).toBe(false);
      expect(await totals()).toMatchObject({ openNanoUsd: 0n, lostNanoUsd: 600n });
      expect(await draw(['team'], 401n, 401n, 'two')).toMatchObject({ type: 'refused' });
      expect(await store.lostGrants()).toEqual([
        { budgetId: 'team', grantId: 'one/team', owner: 'one', nanoUsd: 600n },
      ]);
      expect(await store.reconcile({ budgetId: 'team', grantId: 'one/team', spentNanoUsd: 150n })).toBe(true);
      expect(await store.reconcile({ budgetId: 'team', grantId: 'one/team', spentNanoUsd: 150n })).toBe(
        false,
      );
      expect(await totals()).toMatchObject({ spentNanoUsd: 150n, lostNanoUsd: 0n });
    });

    test('[I5] a new window begins empty, and what the old one set aside is booked in the old one', async () => {
      const { store } = opened;
      await store.create(budgetOf());
      const period = clock.now();
      await draw(['team'], 800n);
      await clock.advance(day);
      expect(await totals()).toMatchObject({ spentNanoUsd: 0n, openNanoUsd: 0n });
      await store.charge([{ budgetId: 'team', grantId: 'one/team', period, nanoUsd: 800n }]);
      expect(await totals()).toMatchObject({ spentNanoUsd: 0n, openNanoUsd: 0n });
    });

    test('a rolling window lets go of what is older than it is long', async () => {
      const { store } = opened;
      await store.create(budgetOf({ window: { type: 'rolling', ms: 3_600_000 } }));
      await draw(['team'], 700n);
      await clock.advance(3_000_000);
      await store.charge([{ budgetId: 'team', grantId: 'one/team', period: 0, nanoUsd: 700n }]); // spent when it is charged
      await clock.advance(3_500_000);
      expect(await totals()).toMatchObject({ spentNanoUsd: 700n });
      await clock.advance(200_000);
      expect(await totals()).toMatchObject({ spentNanoUsd: 0n, openNanoUsd: 0n });
    });

    test('[$-1] a run is reserved from its parents, its costs go up, and its rest comes back', async () => {
      const { store } = opened;
      await store.create(budgetOf({ id: 'org', limitNanoUsd: 5000n }));
      await store.create(budgetOf({ id: 'team', limitNanoUsd: 1000n }));
      const run = {
        id: 'run:1',
        tenant: 'acme',
        runId: 'run_1',
        limitNanoUsd: 600n,
        parents: ['org', 'team'],
      };
      expect(await store.openRun(run)).toMatchObject({ type: 'drawn' });
      expect(await store.openRun(run)).toMatchObject({ type: 'drawn' });
      expect(await totals('team')).toMatchObject({ openNanoUsd: 600n });
      expect(await store.openRun({ ...run, id: 'run:2', runId: 'run_2' })).toMatchObject({
        type: 'refused',
        budgetId: 'team',
      });
      const child = { id: 'run:3', tenant: 'acme', runId: 'run_3', limitNanoUsd: 200n, parents: ['run:1'] };
      expect(await store.openRun(child)).toMatchObject({ type: 'drawn' });
      await draw(['run:3'], 150n);
      await store.charge([{ budgetId: 'run:3', grantId: 'one/run:3', period: 0, nanoUsd: 90n }]);
      for (const id of ['org', 'team', 'run:1', 'run:3'])
        expect(await totals(id)).toMatchObject({ spentNanoUsd: 90n });
      await store.closeRun('run:3');
      expect(await draw(['run:3'], 1n)).toMatchObject({ type: 'refused', availableNanoUsd: 0n });
      expect(await totals('run:1')).toMatchObject({ spentNanoUsd: 90n, openNanoUsd: 60n }); // still out
      await store.trim([{ budgetId: 'run:3', grantId: 'one/run:3', keep: 0n }]);
      expect(await totals('run:1')).toMatchObject({ spentNanoUsd: 90n, openNanoUsd: 0n });
      expect(await store.openRuns({ after: '', limit: 10 })).toEqual([
        { id: 'run:1', tenant: 'acme', runId: 'run_1' },
      ]);
      await store.closeRun('run:1');
      for (const id of ['org', 'team'])
        expect(await totals(id)).toMatchObject({ spentNanoUsd: 90n, openNanoUsd: 0n });
    });

    test('[$-1] many who open the same run at the same moment open it once', async () => {
      const { store } = opened;
      await store.create(budgetOf({ id: 'org', limitNanoUsd: 5000n }));
      for (const parents of [[], ['org']]) {
        const id = `run:of-${parents.length}`;
        const run = { id, tenant: 'acme', runId: id, limitNanoUsd: 600n, parents };
        const outcomes = await Promise.all(Array.from({ length: 12 }, () => store.openRun(run)));
        expect(outcomes.map(({ type }) => type)).toEqual(Array.from({ length: 12 }, () => 'drawn'));
      }
      expect(await totals('org')).toMatchObject({ openNanoUsd: 600n });
    });

    test('[$-1] a run is given more as far as its parents have it, in their window of now', async () => {
      const { store } = opened;
      await store.create(budgetOf({ id: 'org', limitNanoUsd: 5000n }));
      await store.create(
        budgetOf({ id: 'team', limitNanoUsd: 1000n, window: { type: 'day', timeZone: 'UTC' } }),
      );
      const run = { id: 'run:1', tenant: 'acme', runId: 'run_1', parents: ['org', 'team'] };
      const open = (limitNanoUsd: bigint) => store.openRun({ ...run, limitNanoUsd });
      await open(600n);
      await draw(['run:1'], 100n);
      await store.charge([{ budgetId: 'run:1', grantId: 'one/run:1', period: 0, nanoUsd: 100n }]);
      expect(await open(1001n)).toMatchObject({ type: 'refused', budgetId: 'team', availableNanoUsd: 900n });
      expect(await totals('run:1')).toMatchObject({ limitNanoUsd: 600n });
      expect(await totals('org')).toMatchObject({ spentNanoUsd: 100n, openNanoUsd: 500n });
      expect(await open(1000n)).toMatchObject({ type: 'drawn' });
      expect(await open(10n)).toMatchObject({ type: 'drawn' }); // never less
      expect((await store.find('run:1'))?.limitNanoUsd).toBe(1000n);
      for (const id of ['org', 'team'])
        expect(await totals(id)).toMatchObject({ spentNanoUsd: 100n, openNanoUsd: 900n });
      await clock.advance(86_400_000);
      // The day began anew: what the run still holds and what it is given counts in the new one.
      expect(await open(1101n)).toMatchObject({ type: 'refused', budgetId: 'team', availableNanoUsd: 1000n });
      expect(await open(1050n)).toMatchObject({ type: 'drawn' });
      expect(await totals('team')).toMatchObject({ spentNanoUsd: 0n, openNanoUsd: 950n });
      await store.closeRun('run:1');
      expect(await open(2000n)).toMatchObject({ type: 'drawn' });
      expect(await totals('run:1')).toMatchObject({ limitNanoUsd: 1050n });
      expect(await totals('team')).toMatchObject({ openNanoUsd: 0n });
    });

    test('at 50, 80 and 100 % it tells, once', async () => {
      const { store } = opened;
      await store.create(budgetOf({ mode: 'soft' }));
      const charge = async (nanoUsd: bigint) => {
        const { alerts } = await store.charge([
          { budgetId: 'team', grantId: undefined, period: clock.now(), nanoUsd },
        ]);
        return alerts.map(alert => alert.percent);
      };
      expect(await charge(499n)).toEqual([]);
      expect(await charge(1n)).toEqual([50]);
      expect(await charge(600n)).toEqual([80, 100]);
      expect(await charge(600n)).toEqual([]);
      expect(await totals()).toMatchObject({ spentNanoUsd: 1700n });
    });

    test('a cost larger than its grant is booked whole, and said to be', async () => {
      const { store } = opened;
      await store.create(budgetOf());
      await draw(['team'], 10n);
      const charge = { budgetId: 'team', grantId: 'one/team', period: clock.now(), nanoUsd: 25n };
      expect(await store.charge([charge])).toMatchObject({ overdrawnNanoUsd: 15n });
      expect(await totals()).toMatchObject({ spentNanoUsd: 25n, openNanoUsd: 0n });
    });

    test('[$-1] the budget of a run is what its parents reserved: nobody gives it another limit or removes it', async () => {
      const { store } = opened;
      await store.create(budgetOf());
      const run = { id: 'run:1', tenant: 'acme', runId: 'run_1', limitNanoUsd: 600n, parents: ['team'] };
      await store.openRun(run);
      const unknown = { reason: 'unknown_budget' };
      await expect(store.update('run:1', { limitNanoUsd: 5000n })).rejects.toMatchObject(unknown);
      await expect(store.remove('run:1')).rejects.toMatchObject(unknown);
      expect(await totals('run:1')).toMatchObject({ limitNanoUsd: 600n });
      expect(await totals('team')).toMatchObject({ openNanoUsd: 600n });
    });

    test('definitions: listed, changed under their version, removed; every change is seen', async () => {
      const { store } = opened;
      const before = await store.version();
      await store.create(budgetOf({ id: 'b' }));
      await store.create(budgetOf({ id: 'a' }));
      await expect(store.create(budgetOf({ id: 'a' }))).rejects.toMatchObject({ reason: 'unique_violation' });
      expect((await store.list()).map(budget => budget.id)).toEqual(['a', 'b']);
      expect(await store.update('a', { limitNanoUsd: 7n }, 1)).toMatchObject({
        limitNanoUsd: 7n,
        version: 2,
      });
      await expect(store.update('a', { limitNanoUsd: 8n }, 1)).rejects.toMatchObject({
        reason: 'budget_changed',
      });
      await expect(store.update('c', {})).rejects.toMatchObject({ reason: 'unknown_budget' });
      await store.remove('b');
      await expect(store.remove('b')).rejects.toMatchObject({ reason: 'unknown_budget' });
      expect(await store.find('b')).toBeUndefined();
      expect(await store.find('a')).toMatchObject({ ...budgetOf({ id: 'a' }), limitNanoUsd: 7n });
      expect(await store.version()).toBe(before + 4);
    });
  });
}
