import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import pino from 'pino';
import { expect, test } from 'vitest';
import type { Clock } from '../clock.ts';
import { BudgetDirectory } from './budget-directory.ts';
import type { BudgetStore } from './budget-store.ts';
import { createBudgets } from './budgets.ts';
import { createMemoryBudgetStore } from './memory-budget-store.ts';
import type { Subject } from './subject.ts';

const team: Subject = { kind: 'team', id: 'support' };
const spender = { tenant: 'acme', subjects: [team] };

const budget = (id: string) => ({
  id,
  tenant: 'acme',
  subject: team,
  limitNanoUsd: 100n,
  window: { type: 'total' } as const,
  mode: 'hard' as const,
});

/** A store whose next look is held up until it is told to go on. */
function heldUp(store: BudgetStore): { readonly isAsked: Promise<void>; readonly goOn: () => void } {
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const { version } = store;
  store.version = async () => {
    store.version = version;
    const known = await version();
    asked.resolve();
    await held.promise;
    return known;
  };
  return { isAsked: asked.promise, goOn: held.resolve };
}

const idsOf = async (directory: BudgetDirectory) =>
  (await directory.find(spender)).map(each => each.id).sort();

test('[$-1] whoever asks after something was forgotten gets no answer of a look that began before', async () => {
  const clock = createManualClock();
  const store = createMemoryBudgetStore(clock);
  const directory = new BudgetDirectory({ store, clock, maxAgeMs: 30_000 });
  await store.create(budget('first'));
  expect(await idsOf(directory)).toEqual(['first']);

  const { isAsked, goOn } = heldUp(store);
  const look = directory.look();
  await isAsked;
  await store.create(budget('second'));
  directory.forget();
  const found = idsOf(directory);
  goOn();
  expect(await found).toEqual(['first', 'second']);
  await look;
  expect(await idsOf(directory)).toEqual(['first', 'second']);
});

test('budgets in use are looked up once a second', async () => {
  const clock = createManualClock();
  const store = createMemoryBudgetStore(clock);
  await store.create(budget('first'));
  let looks = 0;
  const { version } = store;
  store.version = () => {
    looks++;
    return clock.sleep(5).then(version);
  };
  const late: Clock = { ...clock, schedule: (ms, callback) => clock.schedule(ms + 20, callback) }; // as timers are
  const budgets = createBudgets({ store, clock: late, log: pino({ level: 'silent' }), leaseMs: 30_000 });
  for (let hundredths = 0; hundredths < 1000; hundredths++) {
    void budgets.reserve(spender, () => 1n)?.then(reservation => reservation?.settle(0n));
    await clock.advance(10);
  }
  expect(looks).toBeGreaterThanOrEqual(9);
  expect(looks).toBeLessThanOrEqual(11);
  await budgets.close();
});
