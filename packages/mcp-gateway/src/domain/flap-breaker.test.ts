import { expect, test } from 'vitest';
import { afterLife, defaultFlapLimits, steady, waitBeforeStart } from './flap-breaker.ts';

const die = (times: number, nowMs = 1000) => {
  let state = steady;
  for (let index = 0; index < times; index++) state = afterLife(state, 0, nowMs, defaultFlapLimits);
  return waitBeforeStart(state, nowMs);
};

test('[F51] a server that keeps dying waits longer each time, up to a limit', () => {
  expect([1, 2, 3, 4, 5].map(times => die(times))).toEqual([0, 0, 500, 1000, 2000]);
  expect(die(100)).toBe(defaultFlapLimits.maxDelayMs);
});

test('one long life clears the count', () => {
  const flapping = afterLife({ shortLives: 9, notBeforeMs: 0 }, 0, 1000, defaultFlapLimits);
  expect(afterLife(flapping, 60_000, 2000, defaultFlapLimits)).toEqual(steady);
});
