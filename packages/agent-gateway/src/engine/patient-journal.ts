import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { backoffMs } from '@strata/shared/resilience/backoff.ts';
import type { Journal } from '../domain/journal.ts';

export type DriverJournal = Pick<Journal, 'read' | 'append' | 'release' | 'requests' | 'reserveTasks'>;

export interface Patience {
  readonly clock: Clock;
  /** Fires when the run is lost: then it is somebody else's to go on with. */
  readonly signal: AbortSignal;
  readonly random: () => number;
}

const waits = { baseMs: 50, capMs: 2000 };

/**
 * Does it again until the journal answers. A run whose database is being restarted has lost nothing and waits; if its lease runs
 * out meanwhile, the next append says so.
 */
export async function patiently<Value>(
  work: (isRepeat: boolean) => Promise<Value>,
  { clock, signal, random }: Patience,
): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt > 1);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.reason !== 'journal_unavailable') throw error;
      await clock.sleep(backoffMs(attempt, waits, random), signal);
    }
  }
}

export function patientJournal(journal: Journal, patience: Patience): DriverJournal {
  return {
    read: (runId, afterSeq, limit) => patiently(() => journal.read(runId, afterSeq, limit), patience),
    requests: runId => patiently(() => journal.requests(runId), patience),
    append: append => patiently(isRepeat => journal.append({ ...append, isRepeat }), patience),
    reserveTasks: (claim, wanted) => patiently(() => journal.reserveTasks(claim, wanted), patience),
    release: (claim, options) => patiently(() => journal.release(claim, options), patience),
  };
}
