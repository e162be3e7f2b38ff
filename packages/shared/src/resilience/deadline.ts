import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { Stopper, type StopSignal } from './stop-signal.ts';

export interface Deadline {
  /** Aborts at the deadline with a `timeout` error, or with its parent for the parent's reason. */
  readonly signal: StopSignal;
  /** Never negative. */
  remainingMs(): number;
  /** Was met: from now on only the parent ends it. */
  lift(): void;
  /** Forgets timer and parent. Call it when the work is done. */
  close(): void;
}

/** An end to a piece of work, on the clock that never goes back. A parent's end is never outlived. */
export function createDeadline(options: {
  clock: Clock;
  ms: number;
  reason: string;
  parent?: StopSignal;
}): Deadline {
  const { clock, ms, reason, parent } = options;
  const end = new Stopper();
  const endsAt = clock.monotonic() + ms;
  const timer = clock.schedule(ms, () => {
    end.stop(new GatewayError('timeout', `This took longer than ${ms} ms.`, { reason }));
  });
  const onParent = () => end.stop(parent?.reason);
  if (parent?.aborted) onParent();
  parent?.addEventListener('abort', onParent);
  return {
    signal: end,
    remainingMs: () => Math.max(0, endsAt - clock.monotonic()),
    lift: () => timer.cancel(),
    close() {
      timer.cancel();
      parent?.removeEventListener('abort', onParent);
    },
  };
}
