import type { Clock } from '../clock.ts';
import type { HotConfig } from '../stores/store-section.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createLimiter, type Limiter } from './limiter.ts';
import type { LimitsInForce } from './limits-in-force.ts';
import { openRedisLimitStore } from './redis-limit-store.ts';
import { createSteadyClock } from './steady-clock.ts';

/** Shared through Redis where there is one, else counted by this process. */
export async function openLimiter(options: {
  readonly limits: LimitsInForce;
  readonly hot: HotConfig;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<Limiter> {
  const { limits, hot, log } = options;
  const clock = createSteadyClock(options.clock);
  const { url } = hot;
  const shared = url === undefined ? undefined : await openRedisLimitStore({ ...hot, url }, clock);
  return createLimiter({ limits, shared, clock, log });
}
