import type { Clock } from '../clock.ts';

export interface SteadyClock extends Clock {
  /** From now on it is `nowMs` plus what passes. */
  setTo(nowMs: number): void;
}

/**
 * A clock that no setting of the wall clock moves: `now` goes on by the monotonic clock. For times that are compared with earlier ones, such as
 * when a bucket is full again: an hour taken back must not close every bucket for an hour, and one given must not fill them.
 */
export function createSteadyClock(clock: Clock): SteadyClock {
  let startMs = clock.now() - clock.monotonic();
  return {
    now: () => Math.floor(startMs + clock.monotonic()),
    monotonic: () => clock.monotonic(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    schedule: (ms, callback) => clock.schedule(ms, callback),
    setTo(nowMs) {
      startMs = nowMs - clock.monotonic();
    },
  };
}
