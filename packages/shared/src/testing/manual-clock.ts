import { setImmediate as afterIo } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

/** A clock that only moves when a test says so. */
export interface ManualClock extends Clock {
  /**
   * Moves time forward by `ms`. Every sleep and timer that falls due on the way runs at its own instant, in order of due
   * time and then of creation; promise chains settle between any two, so work they start in time also runs.
   * Rejects with what a timer callback throws; time then stands at that timer.
   */
  advance(ms: number): Promise<void>;
  /** Moves to the next due timer and runs it. `false` when nothing is pending. */
  advanceToNext(): Promise<boolean>;
  /** Moves the wall clock alone, forward or back, as NTP or an operator would. `monotonic` does not notice. */
  shiftWallClock(ms: number): void;
  /** Sleeps and timers that have neither run nor been cancelled. */
  readonly pending: number;
  /** Milliseconds until the next one is due. */
  readonly nextInMs: number | undefined;
  /** Resolves once at least `count` are pending: how a test knows that the code under test has begun to wait. */
  pendingReached(count: number): Promise<void>;
}

interface Timer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

interface Watcher {
  readonly count: number;
  readonly resolve: () => void;
}

/** Start of the wall clock unless a test names one: 2026-01-01T00:00:00Z. */
const defaultStartMs = Date.UTC(2026, 0, 1);

/** Creates a clock that stands at `startMs` (milliseconds since the epoch) and waits for `advance`. */
export function createManualClock(startMs: number = defaultStartMs): ManualClock {
  // Not 0, so that code which takes 0 for "never" is found out; and not the wall clock, so that mixing the two is too.
  let monotonicMs = 1_000;
  let wallOffsetMs = startMs - monotonicMs;
  let nextSequence = 0;
  let advancing = false;
  const timers: Timer[] = []; // latest first: the next one due is popped from the end
  const watchers = new Set<Watcher>();

  const add = (ms: number, run: () => void): Timer => {
    const timer = { dueMs: monotonicMs + Math.max(0, ms || 0), sequence: nextSequence++, run };
    timers.splice(positionOf(timers, timer), 0, timer);
    for (const watcher of watchers) {
      if (timers.length < watcher.count) continue;
      watchers.delete(watcher);
      watcher.resolve();
    }
    return timer;
  };

  const remove = (timer: Timer): void => {
    const position = positionOf(timers, timer);
    if (timers[position] === timer) timers.splice(position, 1);
  };

  const runUntil = async (targetMs: number, limit: number): Promise<number> => {
    if (advancing) throw new Error('The clock is already moving: await one advance before the next');
    advancing = true;
    try {
      await afterIo(); // a wait that was just begun is armed before time moves
      let ran = 0;
      while (ran < limit) {
        const next = timers.at(-1);
        if (!next || next.dueMs > targetMs) break;
        timers.pop();
        monotonicMs = Math.max(monotonicMs, next.dueMs);
        next.run();
        ran++;
        await afterIo();
      }
      return ran;
    } finally {
      advancing = false;
    }
  };

  return {
    now: () => monotonicMs + wallOffsetMs,
    monotonic: () => monotonicMs,
    schedule: (ms, callback) => {
      const timer = add(ms, callback);
      return { cancel: () => remove(timer) };
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const onAbort = () => {
          signal?.removeEventListener('abort', onAbort);
          remove(timer);
          reject(signal?.reason);
        };
        const timer = add(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        signal?.addEventListener('abort', onAbort);
      }),
    advance: async ms => {
      if (!(ms >= 0))
        throw new RangeError('Time only moves forward: use shiftWallClock to move the wall clock back');
      const targetMs = monotonicMs + ms;
      await runUntil(targetMs, Number.POSITIVE_INFINITY);
      monotonicMs = targetMs;
    },
    advanceToNext: async () => (await runUntil(Number.POSITIVE_INFINITY, 1)) === 1,
    shiftWallClock: ms => {
      wallOffsetMs += ms;
    },
    get pending() {
      return timers.length;
    },
    get nextInMs() {
      const next = timers.at(-1);
      return next && Math.max(0, next.dueMs - monotonicMs);
    },
    pendingReached: count =>
      new Promise(resolve => {
        if (timers.length >= count) resolve();
        else watchers.add({ count, resolve });
      }),
  };
}

/** Where `timer` stands, or belongs, in a list ordered latest first. */
function positionOf(timers: readonly Timer[], timer: Timer): number {
  let low = 0;
  let high = timers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = timers[middle];
    if (other && isLater(other, timer)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isLater(left: Timer, right: Timer): boolean {
  return left.dueMs === right.dueMs ? left.sequence > right.sequence : left.dueMs > right.dueMs;
}
