import { expect, test } from 'vitest';
import { createManualClock } from '../testing/manual-clock.ts';
import { ExpiringMap, type MemoryBudget } from './expiring-map.ts';
import { cleanupDelayMs } from './hot-rules.ts';
import { createMemoryHot } from './memory-hot.ts';

test('entries that ended are removed in passing, and give back what they took', () => {
  const clock = createManualClock();
  const budget: MemoryBudget = { maxBytes: Number.MAX_SAFE_INTEGER, usedBytes: 0 };
  const map = new ExpiringMap<string>(clock, budget);
  for (let index = 0; index < 1000; index++) map.set(`short ${index}`, '', { ttlMs: 10, textLength: 0 });
  clock.shiftWallClock(10 + cleanupDelayMs);
  for (let index = 0; index < 400; index++) map.set(`long ${index}`, '', { ttlMs: 1000, textLength: 0 });
  expect(map.size).toBeLessThan(500);
  map.clear();
  expect(budget.usedBytes).toBe(0);
  expect(clock.pending).toBe(0);
});

test('a full store forgets the oldest values first, and refuses leases and events rather than dropping any', async () => {
  const clock = createManualClock();
  const hot = createMemoryHot(clock, { maxBytes: 100_000 });
  for (let index = 0; index < 100; index++) await hot.set(`k${index}`, 'x'.repeat(1000), { ttlMs: 60_000 });
  expect(await hot.get('k0')).toBeUndefined();
  expect(await hot.get('k99')).toHaveLength(1000);
  const lease = await hot.acquireLease('{s}', 'me', 60_000);
  let refused: unknown;
  for (let index = 0; index < 100 && refused === undefined; index++) {
    await hot
      .appendEvent(`{s}:${index}`, 'x'.repeat(1000), { maxEvents: 9, ttlMs: 60_000 })
      .catch((error: unknown) => {
        refused = error;
      });
  }
  expect(refused).toMatchObject({ kind: 'overloaded', reason: 'hot_store_full' });
  expect(await hot.get('k99')).toBeUndefined();
  expect((await hot.readEvents('{s}:0', 0, 9)).events).toHaveLength(1);
  expect(await hot.renewLease('{s}', 'me', lease?.fence ?? 0, 60_000)).toBe(true);
  clock.shiftWallClock(60_000);
  await hot.set('k', 'x'.repeat(40_000), { ttlMs: 1000 });
  expect(await hot.get('k')).toHaveLength(40_000);
});
