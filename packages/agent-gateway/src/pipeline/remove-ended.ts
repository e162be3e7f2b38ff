import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Journal } from '../domain/journal.ts';

export interface RemovalDeps {
  readonly journal: Pick<Journal, 'removeEnded' | 'removeEvents'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a run stays after its end; undefined for ever. */
  readonly keepMs: () => number | undefined;
}

const lookEveryMs = 60_000;
/** Small, because whoever writes a run meanwhile waits for it. */
const batch = 20;
const eventBatch = 500;

/** Removes runs that ended long enough ago, and events that nobody can listen to any more. Every worker looks; they take turns, and what one removes another does not find. */
export function startRemoval(deps: RemovalDeps): { stop(): Promise<void> } {
  const stopped = new AbortController();
  let timer: Scheduled | undefined;
  let looking: Promise<void> = Promise.resolve();
  const look = () => {
    looking = removeEnded(deps, stopped.signal)
      .catch((error: unknown) => deps.log.warn({ err: error }, 'what is old could not be removed and waits'))
      .finally(() => {
        if (!stopped.signal.aborted) timer = deps.clock.schedule(lookEveryMs, look);
      });
  };
  look();
  return {
    async stop() {
      stopped.abort();
      timer?.cancel();
      await looking;
    },
  };
}

/** Batch after batch, until none is left that is old enough. */
async function removeEnded({ journal, clock, keepMs }: RemovalDeps, signal: AbortSignal): Promise<void> {
  const nowMs = clock.now();
  let removed = batch;
  while (removed === batch && !signal.aborted)
    removed = await journal.removeEnded({ beforeMs: nowMs, limit: batch, isOwn: true });
  const kept = keepMs();
  if (kept === undefined) return;
  const beforeMs = nowMs - kept;
  removed = batch;
  while (removed === batch && !signal.aborted)
    removed = await journal.removeEnded({ beforeMs, limit: batch });
  removed = eventBatch;
  while (removed === eventBatch && !signal.aborted)
    removed = await journal.removeEvents({ beforeMs, limit: eventBatch });
}
