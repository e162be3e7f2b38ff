import { CoarseTimers } from './coarse-timers.ts';
import type { StopSignal } from './resilience/stop-signal.ts';

/** Time as a dependency. Production uses `systemClock`; tests own a manual one (`testing/manual-clock.ts`). */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. For records and windows, never for durations. */
  now(): number;
  /** Milliseconds that never go back. For durations, timeouts and deadlines. */
  monotonic(): number;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: StopSignal): Promise<void>;
  /** Runs `callback` once after `ms`; from a tenth of a second on it may be a tenth of that late, but not by more than 100 ms. Does not keep the process alive. */
  schedule(ms: number, callback: () => void): Scheduled;
}

export interface Scheduled {
  cancel(): void;
}

const coarseFromMs = 1000;
const coarse = new CoarseTimers();
const fineFromMs = 100;
const fine = new CoarseTimers(() => performance.now(), 10);

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        signal?.removeEventListener('abort', onAbort);
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal?.addEventListener('abort', onAbort);
    }),
  schedule: (ms, callback) => {
    if (ms >= coarseFromMs) return coarse.schedule(ms, callback);
    if (ms >= fineFromMs) return fine.schedule(ms, callback);
    const timer = setTimeout(callback, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
