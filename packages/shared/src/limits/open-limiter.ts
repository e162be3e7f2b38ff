import type { Clock } from '../clock.ts';
import type { HotConfig } from '../stores/store-section.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createLimiter, type Limiter } from './limiter.ts';
import type { LimitsInForce } from './limits-in-force.ts';
import { openRedisLimitStore } from './redis-limit-store.ts';

/** Shared through Redis where there is one, else counted by this process. */
export async function openLimiter(options: {
  readonly limits: LimitsInForce;
  readonly hot: HotConfig;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<Limiter> {
  const { hot, ...rest } = options;
  const { url } = hot;
  const shared = url === undefined ? undefined : await openRedisLimitStore({ ...hot, url }, rest.clock);
  return createLimiter({ ...rest, shared });
}
