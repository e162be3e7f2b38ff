import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { createDeadline, type Deadline } from '@strata/shared/resilience/deadline.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';

/**
 * The end of one call: with its parent, when its time is over, and no later than the deadline that the envelope of another gateway sets.
 *
 * @throws GatewayError timeout (`deadline_passed`) when that had passed already.
 */
export function callDeadline(
  { envelope }: Caller,
  { clock, totalTimeoutMs, parent }: { clock: Clock; totalTimeoutMs: number; parent: StopSignal },
): Deadline {
  const deadlineAtMs = envelope?.deadlineAtMs;
  const leftMs = deadlineAtMs === undefined ? totalTimeoutMs : deadlineAtMs - clock.now();
  if (leftMs <= 0) {
    throw new GatewayError('timeout', 'The deadline of this call had passed when it came.', {
      reason: 'deadline_passed',
    });
  }
  return createDeadline({
    clock,
    ms: Math.min(leftMs, totalTimeoutMs),
    reason: leftMs < totalTimeoutMs ? 'deadline_passed' : 'request_timeout',
    parent,
  });
}
