import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { Journal } from '../domain/journal.ts';

/** Another process may have written: how long a reader relies on hearing of it. */
const pollMs = 1000;

/** Resolves when the run may have new records, after `maxMs`, or when the signal fires. */
export function awaitRecords(
  runId: string,
  { journal, clock, signal, maxMs }: { journal: Journal; clock: Clock; signal: AbortSignal; maxMs: number },
): { readonly heard: Promise<void>; close(): void } {
  let timer: Scheduled | undefined;
  let stop: () => void = () => {};
  const heard = new Promise<void>(resolve => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const onAbort = () => resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    const stopListening = journal.onAppend(id => {
      if (id === runId) resolve();
    });
    timer = clock.schedule(Math.min(pollMs, Math.max(0, maxMs)), resolve);
    stop = () => {
      signal.removeEventListener('abort', onAbort);
      stopListening();
    };
  });
  return {
    heard,
    close() {
      timer?.cancel();
      stop();
    },
  };
}
