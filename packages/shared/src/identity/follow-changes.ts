import type { Clock, Scheduled } from '../clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ChangedSubject } from './identity-changes.ts';
import type { IdentityWatch } from './identity-watch.ts';

const retryMs = 500;

/**
 * Reads something of the store now, and again whenever the log of changes names its kind: so that what a process keeps in memory follows a change
 * by any other as soon as a revoked key is followed. While the store is away, what was read last stands. Returns how to stop.
 */
export async function followChanges(options: {
  readonly watch: Pick<IdentityWatch, 'onChange'>;
  readonly kind: ChangedSubject['kind'];
  readonly read: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<() => Promise<void>> {
  const { watch, kind, read, clock, log } = options;
  let reading: Promise<void> = Promise.resolve();
  let retry: Scheduled | undefined;
  let isClosed = false;

  /** After what is being read already, which may be older than the change. */
  function readAgain(): void {
    if (isClosed) return;
    reading = reading.then(read).catch((error: unknown) => {
      log.warn({ err: error, kind }, 'what was changed could not be read');
      retry?.cancel();
      if (!isClosed) retry = clock.schedule(retryMs, readAgain);
    });
  }

  watch.onChange(changes => {
    if (changes === undefined || changes.some(change => change.kind === kind)) readAgain();
  });
  await read();
  return async () => {
    isClosed = true;
    retry?.cancel();
    await reading;
  };
}
