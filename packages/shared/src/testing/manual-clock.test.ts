import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from './manual-clock.ts';

test('time stands still until it is advanced', async () => {
  const clock = createManualClock(5_000);
  const before = clock.monotonic();
  await new Promise(resolve => setTimeout(resolve, 5));
  expect(clock.now()).toBe(5_000);
  await clock.advance(250);
  expect(clock.now()).toBe(5_250);
  expect(clock.monotonic() - before).toBe(250);
});

test('timers run at their own instant, by due time and then by creation', async () => {
  const clock = createManualClock(0);
  const seen: string[] = [];
  clock.schedule(30, () => seen.push(`c@${clock.now()}`));
  clock.schedule(10, () => seen.push(`a@${clock.now()}`));
  clock.schedule(30, () => seen.push(`d@${clock.now()}`));
  clock.schedule(20, () => seen.push(`b@${clock.now()}`));
  clock.schedule(31, () => seen.push('too early'));
  await clock.advance(30);
  expect(seen).toEqual(['a@10', 'b@20', 'c@30', 'd@30']);
  expect(clock.pending).toBe(1);
  expect(clock.nextInMs).toBe(1);
});

test('promise chains settle between timers, and what they start in time also runs', async () => {
  const clock = createManualClock(0);
  const seen: number[] = [];
  const loop = async () => {
    for (let round = 0; round < 5; round++) {
      await clock.sleep(10);
      for (let hop = 0; hop < 100; hop++) await null;
      seen.push(clock.now());
    }
  };
  const done = loop();
  await clock.advance(50);
  await done;
  expect(seen).toEqual([10, 20, 30, 40, 50]);
});

test('a cancelled timer never runs', async () => {
  const clock = createManualClock();
  let ran = false;
  const timer = clock.schedule(10, () => {
    ran = true;
  });
  timer.cancel();
  timer.cancel();
  expect(clock.pending).toBe(0);
  await clock.advance(100);
  expect(ran).toBe(false);
});

test('an aborted sleep rejects with the reason, leaves no timer and no listener', async () => {
  const clock = createManualClock();
  const controller = new AbortController();
  const reason = new Error('left');
  const sleeping = clock.sleep(10, controller.signal);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  expect(clock.pending).toBe(0);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  await expect(clock.sleep(10, controller.signal)).rejects.toBe(reason);
  expect(clock.pending).toBe(0);
});

test('a finished sleep leaves no listener on its signal', async () => {
  const clock = createManualClock();
  const { signal } = new AbortController();
  for (let round = 0; round < 20; round++) {
    const sleeping = clock.sleep(10, signal);
    await clock.advance(10);
    await sleeping;
  }
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('the wall clock shifts alone', async () => {
  const clock = createManualClock(1_000_000);
  const monotonic = clock.monotonic();
  let firedAt = 0;
  clock.schedule(50, () => {
    firedAt = clock.monotonic();
  });
  clock.shiftWallClock(-999_000);
  expect(clock.now()).toBe(1_000);
  expect(clock.monotonic()).toBe(monotonic);
  await clock.advance(50);
  expect(firedAt - monotonic).toBe(50);
  expect(clock.now()).toBe(1_050);
});

test('a test can wait for waiting to begin', async () => {
  const clock = createManualClock();
  let reached = false;
  const waiting = clock.pendingReached(2).then(() => {
    reached = true;
  });
  clock.schedule(1, () => {});
  await new Promise(setImmediate);
  expect(reached).toBe(false);
  setImmediate(() => clock.schedule(1, () => {}));
  await waiting;
  expect(clock.pending).toBe(2);
  await clock.pendingReached(1);
});

test('one step at a time', async () => {
  const clock = createManualClock(0);
  clock.schedule(70, () => {});
  clock.schedule(20, () => {});
  expect(await clock.advanceToNext()).toBe(true);
  expect(clock.now()).toBe(20);
  expect(await clock.advanceToNext()).toBe(true);
  expect(clock.now()).toBe(70);
  expect(await clock.advanceToNext()).toBe(false);
});

test('what a timer throws reaches the test, and the clock still works', async () => {
  const clock = createManualClock(0);
  clock.schedule(10, () => {
    throw new Error('broken');
  });
  await expect(clock.advance(20)).rejects.toThrow('broken');
  expect(clock.now()).toBe(10);
  await clock.advance(20);
  expect(clock.now()).toBe(30);
});

test('time moves forward only, and once at a time', async () => {
  const clock = createManualClock();
  await expect(clock.advance(-1)).rejects.toThrow(RangeError);
  await expect(clock.advance(Number.NaN)).rejects.toThrow(RangeError);
  const first = clock.advance(1);
  await expect(clock.advance(1)).rejects.toThrow('already moving');
  await first;
});

test('any mix of timers and cancellations runs what is due, in order', async () => {
  const timers = fc.array(fc.record({ ms: fc.nat(50), cancelled: fc.boolean() }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(timers, fc.nat(60), async (plan, ms) => {
      const clock = createManualClock(0);
      const ran: number[] = [];
      plan.forEach((entry, index) => {
        const timer = clock.schedule(entry.ms, () => ran.push(index));
        if (entry.cancelled) timer.cancel();
      });
      await clock.advance(ms);
      const expected = plan
        .map((entry, index) => ({ ...entry, index }))
        .filter(entry => !entry.cancelled && entry.ms <= ms)
        .sort((left, right) => left.ms - right.ms || left.index - right.index);
      expect(ran).toEqual(expected.map(entry => entry.index));
    }),
    { numRuns: 200 },
  );
});
