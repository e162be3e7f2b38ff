import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

const late = new Error('too late');

test('turns come in the order of arrival, one at a time', async () => {
  const turns = createTurns({ maxWaitMs: 10_000, onTimeout: () => late });
  const order: number[] = [];
  let holders = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const release = await turns.take();
      expect(++holders).toBe(1);
      order.push(index);
      await Promise.resolve();
      holders--;
      release();
      release(); // once is enough
    }),
  );
  expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect([turns.isTaken, turns.waiting]).toEqual([false, 0]);
});

test('who waits too long gives up, and does not hold up those behind', async () => {
  const turns = createTurns({ maxWaitMs: 5, onTimeout: () => late });
  const release = await turns.take();
  await expect(turns.take()).rejects.toBe(late);
  expect(turns.waiting).toBe(0);
  release();
  (await turns.take())();
  expect(turns.isTaken).toBe(false);
});
