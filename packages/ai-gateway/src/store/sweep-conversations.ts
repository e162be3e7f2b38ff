import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';

const sweepEveryMs = 600_000;

/** Removes what has expired, again and again, until the returned function is called. */
export function startSweeping(
  stores: readonly { sweep(): Promise<void> }[],
  { clock, log }: { clock: Clock; log: Logger },
): () => void {
  let timer: Scheduled = clock.schedule(sweepEveryMs, sweep);

  function sweep(): void {
    timer = clock.schedule(sweepEveryMs, sweep);
    for (const store of stores) {
      store.sweep().catch((error: unknown) => log.warn({ err: error }, 'what expired could not be removed'));
    }
  }

  return () => timer.cancel();
}
