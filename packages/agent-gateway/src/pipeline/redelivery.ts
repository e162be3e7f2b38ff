import type { Scheduled } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { type ApprovalDeps, redeliver } from './decide-approval.ts';

const everyMs = 10_000;
/** Younger ones are still on their way. */
const graceMs = 5000;

/** Looks now and then for decisions whose gateway died before it told the run. */
export function startRedelivery(deps: ApprovalDeps, log: Logger): { stop(): void } {
  let timer: Scheduled;
  let isStopped = false;
  const again = () => {
    if (!isStopped) timer = deps.clock.schedule(everyMs, look);
  };
  function look(): void {
    redeliver(deps, deps.clock.now() - graceMs)
      .catch((error: unknown) => log.warn({ error }, 'decisions could not be told to their runs and wait'))
      .finally(again);
  }
  timer = deps.clock.schedule(graceMs, look);
  return {
    stop() {
      isStopped = true;
      timer.cancel();
    },
  };
}
