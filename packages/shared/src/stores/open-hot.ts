import type { Clock } from '../clock.ts';
import type { Hot } from './hot.ts';
import { createMemoryHot } from './memory-hot.ts';
import { openRedisHot } from './redis-hot.ts';
import type { HotConfig } from './store-section.ts';

/** Redis where an address is configured, else the process itself. */
export async function openHot(config: HotConfig, clock: Clock): Promise<Hot> {
  return config.url === undefined
    ? createMemoryHot(clock, { maxBytes: config.max_memory_bytes })
    : openRedisHot({ ...config, url: config.url }, clock);
}
