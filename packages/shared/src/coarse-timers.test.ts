import { expect, test } from 'vitest';
import { CoarseTimers, coarsenessMs } from './coarse-timers.ts';

/** Its time stands still until it is set; the process lives until `done` is called. */
function openTimers() {
  const time = { ms: 1000 };
  const keepAlive = setInterval(() => {}, 1000);
  return { time, timers: new CoarseTimers(() => time.ms), done: () => clearInterval(keepAlive) };
}

test('timers fire in the order of their moments, then in that of their creation, and never early', async () => {
  const { time, timers, done } = openTimers();
  const fired: string[] = [];
  timers.schedule(3 * coarsenessMs, () => fired.push('third'));
  timers.schedule(coarsenessMs, () => fired.push('first'));
  timers.schedule(coarsenessMs, () => fired.push('second'));
  await new Promise<void>(resolve => timers.schedule(0, resolve));
  expect(fired).toEqual([]);
  time.ms += coarsenessMs;
  await new Promise<void>(resolve => timers.schedule(0, resolve));
  expect(fired).toEqual(['first', 'second']);
  time.ms += 5 * coarsenessMs;
  await new Promise<void>(resolve => timers.schedule(0, resolve));
  expect(fired).toEqual(['first', 'second', 'third']);
  done();
});

test('one that is cancelled never fires, not even by one that fires with it', async () => {
  const { time, timers, done } = openTimers();
  const fired: string[] = [];
  timers.schedule(coarsenessMs, () => fired.push('cancelled')).cancel();
  timers.schedule(coarsenessMs, () => {
    fired.push('first');
    second.cancel();
  });
  const second = timers.schedule(coarsenessMs, () => fired.push('second'));
  time.ms += coarsenessMs;
  await new Promise<void>(resolve => timers.schedule(0, resolve));
  expect(fired).toEqual(['first']);
  done();
});

test('a moment that everybody has left is forgotten, and the next one is still met', async () => {
  const { time, timers, done } = openTimers();
  for (let index = 0; index < 1000; index++) timers.schedule(index * coarsenessMs, () => {}).cancel();
  time.ms += coarsenessMs;
  const next = new Promise<void>(resolve => timers.schedule(coarsenessMs, resolve));
  time.ms += coarsenessMs;
  await next;
  expect(timers.pendingMoments).toBe(0);
  done();
});
