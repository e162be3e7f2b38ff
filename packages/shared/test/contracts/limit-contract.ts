import { incrementOf, type LimitCheck } from '@strata/shared/limits/limit.ts';
import type { LimitStore } from '@strata/shared/limits/limit-store.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const minute = { amount: 6, windowMs: 60_000 };
export const rate = (key: string, amount = 1): LimitCheck => ({
  type: 'rate',
  key,
  incrementUs: incrementOf(minute, amount),
  burstUs: 60_000_000,
});
export const places = (key: string, limit: number): LimitCheck => ({ type: 'concurrency', key, limit });

/** What every store of limits must do. */
export function limitContract(name: string, open: (clock: ManualClock) => Promise<LimitStore>): void {
  describe(`${name} as a store of limits`, () => {
    let store: LimitStore;
    let clock: ManualClock;
    beforeEach(async () => {
      clock = createManualClock();
      store = await open(clock);
    });
    afterEach(() => store.close());

    let calls = 0;
    const admit = (checks: readonly LimitCheck[], id = `call_${++calls}`) =>
      store.admit({ checks, lease: { id, ttlMs: 30_000 }, changes: [] });

    test('[I7] a full bucket lets one window through at once, then as much as it fills', async () => {
      for (let count = 0; count < 6; count++)
        expect(await admit([rate('k')])).toMatchObject({ type: 'admitted' });
      expect(await admit([rate('k')])).toMatchObject({ type: 'refused', check: 0, waitUs: 10_000_000 });
      await clock.advance(9_999);
      expect(await admit([rate('k')])).toMatchObject({ type: 'refused', waitUs: 1000 });
      await clock.advance(1);
      expect(await admit([rate('k')])).toMatchObject({ type: 'admitted' });
      expect(await admit([rate('other')])).toMatchObject({ type: 'admitted' });
    });

    test('what one limit refuses is counted at none, and the longest wait is told', async () => {
      for (let count = 0; count < 6; count++) await admit([rate('tight')]);
      expect(await admit([rate('wide'), rate('tight'), places('room', 1)])).toMatchObject({
        type: 'refused',
        check: 1,
      });
      for (let count = 0; count < 6; count++) {
        expect(await admit([rate('wide')])).toMatchObject({ type: 'admitted' });
      }
      expect(await admit([places('room', 1)])).toMatchObject({ type: 'admitted', states: [1] });
    });

    test('places are given back by leaving, or when their lease ends; who says so keeps them', async () => {
      expect(await admit([places('room', 2)], 'a')).toMatchObject({ type: 'admitted', states: [1] });
      expect(await admit([places('room', 2)], 'b')).toMatchObject({ type: 'admitted', states: [2] });
      expect(await admit([places('room', 2)], 'c')).toMatchObject({ type: 'refused', states: [2] });
      await store.apply([{ type: 'leave', key: 'room', leaseId: 'a' }]);
      expect(await admit([places('room', 2)], 'c')).toMatchObject({ type: 'admitted' });
      await clock.advance(20_000);
      await store.renew({
        replica: 'r',
        ttlMs: 30_000,
        places: [{ key: 'room', leaseId: 'b' }],
      });
      await clock.advance(15_000);
      expect(await admit([places('room', 2)], 'd')).toMatchObject({ type: 'admitted', states: [2] }); // c's has ended
      expect(await admit([places('room', 2)], 'e')).toMatchObject({ type: 'refused' });
    });

    test('what was used in the end is corrected, up into debt and down to nothing', async () => {
      await admit([rate('k', 2)]);
      await store.apply([{ type: 'rate', key: 'k', deltaUs: 60_000_000, burstUs: 60_000_000 }]); // six more
      expect(await admit([rate('k')])).toMatchObject({ type: 'refused', waitUs: 30_000_000 });
      await store.apply([{ type: 'rate', key: 'k', deltaUs: -500_000_000, burstUs: 60_000_000 }]);
      expect(await admit([rate('k', 6)])).toMatchObject({ type: 'admitted' });
    });

    test('word of ended requests travels with the next one', async () => {
      await admit([places('room', 1)], 'a');
      const lease = { id: 'b', ttlMs: 1000 };
      const changes = [{ type: 'leave', key: 'room', leaseId: 'a' } as const];
      expect(await store.admit({ checks: [places('room', 1)], lease, changes })).toMatchObject({
        type: 'admitted',
      });
    });

    test('[I7] a clock that is set back neither opens a limit nor closes it', async () => {
      for (let count = 0; count < 6; count++) await admit([rate('k')]);
      await admit([places('room', 1)], 'a');
      for (const hours of [1, 30, 700]) {
        clock.shiftWallClock(-hours * 3_600_000);
        expect(await admit([rate('k')])).toMatchObject({ type: 'refused', waitUs: 10_000_000 });
        expect(await admit([places('room', 1)], 'b')).toMatchObject({ type: 'refused' });
        await clock.advance(10_000);
        expect(await admit([rate('k')])).toMatchObject({ type: 'admitted' });
      }
      expect(await admit([places('room', 1)], 'b')).toMatchObject({ type: 'admitted' }); // a's lease has ended
    });

    test('replicas are counted while they say that they live', async () => {
      const beat = (replica: string) => store.renew({ replica, ttlMs: 30_000, places: [] });
      expect(await beat('one')).toEqual({ replicas: 1 });
      expect(await beat('two')).toEqual({ replicas: 2 });
      await clock.advance(30_001);
      expect(await beat('one')).toEqual({ replicas: 1 });
    });
  });
}
