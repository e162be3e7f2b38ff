import type { Clock, Scheduled } from '../clock.ts';
import type { HotConfig } from '../stores/store-section.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createLimiter, type Limiter } from './limiter.ts';
import type { LimitsInForce } from './limits-in-force.ts';
import { openRedisLimitStore, type RedisLimitStore } from './redis-limit-store.ts';
import { createSteadyClock, type SteadyClock } from './steady-clock.ts';

const lookAgainMs = 10_000;

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
  if (url === undefined) return createLimiter({ limits, shared: undefined, clock, log });
  const shared = await openRedisLimitStore({ ...hot, url }, clock);
  const stopFollowing = await follow(shared, clock);
  const limiter = createLimiter({ limits, shared, clock, log });
  return {
    ...limiter,
    close() {
      stopFollowing();
      return limiter.close();
    },
  };
}

/** Replicas count by one clock, the one of Redis: what one of them writes must mean the same to all. While Redis is away time goes on as it did. */
async function follow(shared: RedisLimitStore, clock: SteadyClock): Promise<() => void> {
  let next: Scheduled | undefined;
  let isStopped = false;
  const look = async () => {
    await shared.nowMs().then(clock.setTo, () => {}); // requests notice by themselves that it is away
    if (!isStopped) next = clock.schedule(lookAgainMs, () => void look());
  };
  await look();
  return () => {
    isStopped = true;
    next?.cancel();
  };
}
