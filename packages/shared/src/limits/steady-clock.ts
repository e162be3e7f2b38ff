import type { Clock } from '../clock.ts';

/** Wall clocks are corrected by less than this all the time. */
const jumpMs = 1000;

/**
 * The clock, whose wall clock never goes back: when somebody sets it back, it goes on from where it was. For times that are compared with earlier
 * ones, such as when a bucket is full again: an hour taken back must not close every bucket for an hour.
 */
export function createSteadyClock(clock: Clock): Clock {
  let last = { wallMs: clock.now(), monotonicMs: clock.monotonic(), steadyMs: clock.now() };
  let aheadMs = 0;

  function now(): number {
    const [wallMs, monotonicMs] = [clock.now(), clock.monotonic()];
    const expectedMs = last.wallMs + monotonicMs - last.monotonicMs;
    if (expectedMs - wallMs > jumpMs) aheadMs += Math.round(expectedMs - wallMs);
    last = { wallMs, monotonicMs, steadyMs: Math.max(last.steadyMs, wallMs + aheadMs) };
    return last.steadyMs;
  }

  return {
    now,
    monotonic: () => clock.monotonic(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    schedule: (ms, callback) => clock.schedule(ms, callback),
  };
}
