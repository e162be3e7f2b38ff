import type { Clock } from '../clock.ts';
import { openRedisLimitStore } from '../stores/redis-limit-store.ts';
import type { HotConfig } from '../stores/store-section.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type LimitsSection, toLimits } from './limit-section.ts';
import { createLimiter, type Limiter } from './limiter.ts';

/** Shared through Redis where there is one and something to limit, else counted by this process. */
export async function openLimiter(options: {
  readonly config: { readonly limits: LimitsSection; readonly hot: HotConfig };
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<Limiter> {
  const { config, clock, log } = options;
  const limits = toLimits(config.limits);
  const { url } = config.hot;
  const isShared = url !== undefined && limits.length > 0;
  const shared = isShared ? await openRedisLimitStore({ ...config.hot, url }, clock) : undefined;
  return createLimiter({ limits, shared, clock, log });
}
