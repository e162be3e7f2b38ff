import { systemClock } from '@strata/shared/clock.ts';
import { ThreadPool } from '@strata/shared/threads/thread-pool.ts';
import { expect, test } from 'vitest';

test('the first job of a thread has all of its time: the start of the thread is not on its account', async () => {
  const pool = new ThreadPool({
    file: new URL('./fixtures/slow-start-thread.ts', import.meta.url),
    clock: systemClock,
    size: 1,
    maxQueue: 1,
    maxHeapMiB: 64,
  });
  expect(await pool.run({ ms: 300 }, { cpuLimitMs: 100 })).toBe('done');
  await pool.close();
});
