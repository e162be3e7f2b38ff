import type { Clock } from '@strata/shared/clock.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';

/** Waits for the promise or for the signal, whichever is first. The promise itself goes on. */
export function withSignal<Value>(promise: Promise<Value>, signal: StopSignal): Promise<Value> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Runs `act` with a signal that fires after `ms`; unlike `AbortSignal.timeout`, the timer goes when the work is done. */
export async function withinTime<Value>(
  clock: Clock,
  ms: number,
  act: (signal: StopSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  const timer = clock.schedule(ms, () => controller.abort());
  try {
    return await act(controller.signal);
  } finally {
    timer.cancel();
  }
}
