import type { Envelope } from '@strata/shared/identity/envelope.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import type { BudgetStore } from '@strata/shared/money/budget-store.ts';
import type { Budgets, Reservation } from '@strata/shared/money/budgets.ts';
import { createBudgets } from '@strata/shared/money/budgets.ts';
import { createMemoryBudgetStore } from '@strata/shared/money/memory-budget-store.ts';
import { createRunBudgets } from '@strata/shared/money/run-budgets.ts';
import type { Subject } from '@strata/shared/money/subject.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import fc from 'fast-check';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { budgetOf } from './contracts/budget-contract.ts';

const log = pino({ level: 'silent' });
const leaseMs = 30_000;
const team: Subject = { kind: 'team', id: 'support' };
const key: Subject = { kind: 'key', id: 'key_1' };
const spender = { tenant: 'acme', subjects: [team, key] };

const open = (store: BudgetStore, clock: ManualClock): Budgets =>
  createBudgets({ store, clock, log, leaseMs });

/** As the ledger does: what is charged and what this process hears of it belong together. */
async function book(budgets: Budgets, reservation: Reservation | undefined, spent: bigint): Promise<void> {
  const charges = reservation?.settle(spent) ?? [];
  budgets.charged(charges, await budgets.store.charge(charges));
}

async function setUp() {
  const clock = createManualClock();
  const store = createMemoryBudgetStore(clock);
  await store.create(budgetOf({ window: { type: 'total' } }));
  const budgets = open(store, clock);
  return { clock, store, budgets, totals: () => store.totals('team') };
}

describe('budgets of one process', () => {
  test('[$-1] a request is reserved out of a grant, and the store is asked only for the grant', async () => {
    const { store, budgets, totals } = await setUp();
    let draws = 0;
    const draw = store.draw;
    store.draw = request => {
      draws++;
      return draw(request);
    };
    for (let count = 0; count < 20; count++)
      await book(budgets, await budgets.reserve(spender, () => 5n), 5n);
    expect(draws).toBeLessThan(8);
    expect(await totals()).toMatchObject({ spentNanoUsd: 100n });
    await budgets.close();
    expect(await totals()).toEqual({
      limitNanoUsd: 1000n,
      spentNanoUsd: 100n,
      openNanoUsd: 0n,
      lostNanoUsd: 0n,
    });
  });

  test('[$-1] near the limit a grant is the single request, and the last of the budget can be spent', async () => {
    const { budgets, totals } = await setUp();
    for (let count = 0; count < 10; count++)
      await book(budgets, await budgets.reserve(spender, () => 100n), 100n);
    expect(await totals()).toMatchObject({ spentNanoUsd: 1000n, openNanoUsd: 0n });
    await expect(budgets.reserve(spender, () => 1n)).rejects.toMatchObject({
      kind: 'budget_exceeded',
      reason: 'budget_exceeded',
      details: { budget_subject: 'team:support', available_nano_usd: '0' },
    });
    await budgets.close();
  });

  test('[$-1] a settlement counts once, however often it is said', async () => {
    const { budgets, totals } = await setUp();
    const reservation = await budgets.reserve(spender, () => 100n);
    await book(budgets, reservation, 40n);
    await book(budgets, reservation, 40n);
    expect(await totals()).toMatchObject({ spentNanoUsd: 40n });
    await budgets.close();
  });

  test('what is not used for a while goes back to the others', async () => {
    const { clock, budgets, totals } = await setUp();
    await book(budgets, await budgets.reserve(spender, () => 10n), 10n);
    expect((await totals())?.openNanoUsd).toBeGreaterThan(0n);
    await clock.advance(7000);
    expect(await totals()).toMatchObject({ spentNanoUsd: 10n, openNanoUsd: 0n });
    await budgets.close();
  });

  test('[$-1] a process that was taken for dead spends nothing of what it held, and what it still settles is booked', async () => {
    const { clock, store, budgets, totals } = await setUp();
    const old = await budgets.reserve(spender, () => 100n);
    const renew = store.renew;
    store.renew = () => Promise.reject(new Error('away'));
    await clock.advance(40_000);
    await store.reap(clock.now());
    store.renew = renew;
    await book(budgets, await budgets.reserve(spender, () => 10n), 10n);
    await book(budgets, old, 60n);
    expect(await totals()).toMatchObject({ spentNanoUsd: 70n });
    await budgets.close();
  });

  test('a change of a budget is seen after a second, without a restart, and by the first who asks then', async () => {
    const { clock, store, budgets } = await setUp();
    await book(budgets, await budgets.reserve(spender, () => 10n), 10n);
    await store.create(budgetOf({ id: 'key', subject: key, limitNanoUsd: 5n }));
    await clock.advance(1001);
    await expect(budgets.reserve(spender, () => 6n)).rejects.toMatchObject({
      details: { budget_subject: 'key:key_1' },
    });
    await budgets.close();
  });

  test('a budget that is removed while it is in use refuses nobody', async () => {
    const { store, budgets } = await setUp();
    await store.create(budgetOf({ id: 'key', subject: key, limitNanoUsd: 5n, window: { type: 'total' } }));
    await book(budgets, await budgets.reserve(spender, () => 1n), 1n);
    const underWay = await budgets.reserve(spender, () => 1n);
    await store.remove('key');
    await book(budgets, await budgets.reserve(spender, () => 100n), 100n);
    await book(budgets, underWay, 1n);
    expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 102n });
    await budgets.close();
  });

  test('[$-1] a run spends from its own budget, and whoever started it pays', async () => {
    const { store, budgets, totals } = await setUp();
    await budgets.openRun({ id: 'run:1', runId: 'run_1', limitNanoUsd: 300n, starter: spender });
    const inRun = { ...spender, runBudgetId: 'run:1' };
    await book(budgets, await budgets.reserve(inRun, () => 200n), 150n);
    await expect(budgets.reserve(inRun, () => 151n)).rejects.toMatchObject({
      details: { budget_subject: 'run:run_1' },
    });
    await expect(budgets.reserve({ ...inRun, tenant: 'other' }, () => 1n)).rejects.toMatchObject({
      reason: 'run_budget_unknown',
    });
    await expect(budgets.reserve({ ...inRun, runBudgetId: 'run:9' }, () => 1n)).rejects.toMatchObject({
      reason: 'run_budget_unknown',
    });
    await expect(
      budgets.openRun({ id: 'run:2', runId: 'run_2', limitNanoUsd: 900n, starter: spender }),
    ).rejects.toMatchObject({ reason: 'budget_exceeded' });
    await budgets.closeRun('run:1');
    await budgets.close();
    expect(await totals()).toEqual({
      limitNanoUsd: 1000n,
      spentNanoUsd: 150n,
      openNanoUsd: 0n,
      lostNanoUsd: 0n,
    });
    expect(await store.totals('run:1')).toMatchObject({ spentNanoUsd: 150n });
  });

  test('[$-1] a run that is given more is heard at once, whatever it was refused a moment ago', async () => {
    const { clock, budgets } = await setUp();
    const run = { id: 'run:1', runId: 'run_1', starter: spender };
    const inRun = { ...spender, runBudgetId: 'run:1' };
    await budgets.openRun({ ...run, limitNanoUsd: 100n });
    await expect(budgets.reserve(inRun, () => 101n)).rejects.toMatchObject({ reason: 'budget_exceeded' });
    await budgets.openRun({ ...run, limitNanoUsd: 300n });
    await clock.advance(1);
    await book(budgets, await budgets.reserve(inRun, () => 101n), 101n);
    await budgets.close();
  });

  test('[$-1] one refusal answers for all that wait for it', async () => {
    const { store, budgets } = await setUp();
    let draws = 0;
    const draw = store.draw;
    store.draw = request => {
      draws++;
      return draw(request);
    };
    await budgets.openRun({ id: 'run:1', runId: 'run_1', limitNanoUsd: 100n, starter: spender });
    const inRun = { ...spender, runBudgetId: 'run:1' };
    const asked = Array.from({ length: 50 }, async () => budgets.reserve(inRun, () => 101n));
    const answers = await Promise.allSettled(asked);
    expect(answers.every(({ status }) => status === 'rejected')).toBe(true);
    expect(draws).toBe(1);
    await budgets.close();
  });

  test('[$-1] runs with a limit carry their budget, are refused what their starter has not, and give back what is left when they end', async () => {
    const { clock, budgets, totals } = await setUp();
    const ended = new Set<string>();
    const runs = createRunBudgets({
      budgets,
      clock,
      log,
      limitNanoUsd: () => 600n,
      hasEnded: async ({ runId }) => ended.has(runId),
    });
    const envelope = (runId: string) => ({ ...envelopeOfSupport, runId });
    const covered = await runs.cover(envelope('run_1'));
    expect(covered.grant).toEqual({ id: 'run:run_1', remainingNanoUsd: 600n });
    expect((await runs.cover(envelope('run_1'))).grant).toEqual(covered.grant);
    await expect(runs.cover(envelope('run_2'))).rejects.toMatchObject({ reason: 'budget_exceeded' });
    await book(budgets, await budgets.reserve({ ...spender, runBudgetId: 'run:run_1' }, () => 100n), 80n);
    ended.add('run_1');
    await clock.advance(40_000);
    expect(await totals()).toMatchObject({ spentNanoUsd: 80n, openNanoUsd: 0n });
    expect((await runs.cover(envelope('run_3'))).grant?.id).toBe('run:run_3');
    runs.close();
    await budgets.close();
  });

  test('a soft budget counts and tells, and refuses nothing', async () => {
    const { store, budgets } = await setUp();
    await store.update('team', { mode: 'soft' });
    for (let count = 0; count < 3; count++)
      await book(budgets, await budgets.reserve(spender, () => undefined), 900n);
    expect(await store.totals('team')).toMatchObject({ spentNanoUsd: 2700n });
    await budgets.close();
  });
});

const envelopeOfSupport = {
  tenant: 'acme',
  team: 'support',
  project: 'default',
  subject: 'user:ada',
  principalKind: 'user' as const,
  keyId: 'key_1',
  tags: [],
  actors: [],
  scopes: noScopes,
  grant: undefined as Envelope['grant'],
  runId: undefined,
  taskId: undefined,
  deadlineAtMs: undefined,
  depth: 3,
};

type Step =
  | { readonly type: 'begin'; readonly process: number; readonly worst: bigint }
  | { readonly type: 'end'; readonly process: number; readonly part: number }
  | { readonly type: 'kill'; readonly process: number }
  | { readonly type: 'wait'; readonly ms: number };

/** A store as one process sees it, until it is killed: then nothing of it arrives any more. */
function mortal(store: BudgetStore): { readonly store: BudgetStore; kill(): void } {
  let isDead = false;
  const alive = new Proxy(store, {
    get: (target, name: keyof BudgetStore) =>
      isDead ? () => Promise.reject(new Error('killed')) : target[name],
  });
  return {
    store: alive,
    kill: () => {
      isDead = true;
    },
  };
}

const process3 = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('begin' as const),
      process: process3,
      worst: fc.bigInt({ min: 0n, max: 400n }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant('end' as const), process: process3, part: fc.nat(100) }),
  },
  fc.record({ type: fc.constant('kill' as const), process: process3 }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(100, 6000, 130_000) }),
);

test('[$-1] property: three processes, any order of requests, ends and kills: never over the limit, nothing spent is forgotten', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async steps => {
      const { clock, store, budgets: first, totals } = await setUp();
      const mortals = [mortal(store), mortal(store), mortal(store)];
      const processes = mortals.map(each => open(each.store, clock));
      const underWay: Reservation[][] = [[], [], []];
      let spent = 0n;
      for (const each of steps) {
        if (each.type === 'wait') {
          await clock.advance(each.ms);
          continue;
        }
        const budgets = processes[each.process] ?? first;
        const own = underWay[each.process] ?? [];
        if (each.type === 'begin') {
          await budgets
            .reserve(spender, () => each.worst)
            ?.then(
              reservation => reservation && own.push(reservation),
              () => {},
            );
        } else if (each.type === 'end') {
          const reservation = own.pop();
          const cost = ((reservation?.nanoUsd ?? 0n) * BigInt(each.part)) / 100n;
          spent += cost;
          await book(budgets, reservation, cost);
        } else {
          mortals[each.process]?.kill();
          mortals[each.process] = mortal(store);
          processes[each.process] = open(mortals[each.process]?.store ?? store, clock);
          underWay[each.process] = [];
        }
        const { spentNanoUsd, openNanoUsd, lostNanoUsd, limitNanoUsd } = (await totals()) ?? expect.fail();
        expect(spentNanoUsd).toBe(spent);
        expect(spentNanoUsd + openNanoUsd + lostNanoUsd <= limitNanoUsd).toBe(true);
      }
      await Promise.all([first, ...processes].map(budgets => budgets.close()));
    }),
    modelRuns('processes', 'memory'),
  );
});
