import type { Clock } from '../clock.ts';
import type { Hot, RingEvent } from './hot.ts';
import { fenceTtlMs, hashTag, requireCount, requireSameTag, requireTtl } from './hot-rules.ts';
import { connectRedis, firstTry, RedisCommands, type RedisConfig } from './redis-connection.ts';
import {
  acquireLease,
  appendEvent,
  readEvents,
  releaseLease,
  renewLease,
  setValue,
} from './redis-scripts.ts';
import { RedisSubscriptions } from './redis-subscriptions.ts';

/** The hot port on Redis: the transitions are in `redis-scripts.ts`, what happens while Redis is away in `redis-connection.ts`. */
export async function openRedisHot(config: RedisConfig, clock: Clock): Promise<Hot> {
  const redis = connectRedis(config);
  const subscriber = connectRedis(config);
  const commands = new RedisCommands(redis, { clock, timeoutMs: config.command_timeout_ms });
  const subscriptions = new RedisSubscriptions(subscriber, clock);
  await Promise.all([redis, subscriber].map(each => firstTry(each, clock, config.connect_timeout_ms)));
  const prefix = config.key_prefix;
  const keyOf = (kind: string, key: string) => `${prefix}${kind}:${hashTag(key) === key ? `{${key}}` : key}`;
  const now = () => clock.now();

  return {
    async get(key) {
      const stored = await commands.send(client => client.get(keyOf('value', key)));
      if (stored === null) return undefined;
      const colon = stored.indexOf(':');
      return Number(stored.slice(0, colon)) > now() ? stored.slice(colon + 1) : undefined;
    },
    async set(key, value, { ttlMs }) {
      requireTtl(ttlMs);
      await commands.run(setValue, [keyOf('value', key)], [value, now(), ttlMs]);
    },
    async delete(key) {
      await commands.send(client => client.del(keyOf('value', key)));
    },

    async acquireLease(key, owner, ttlMs) {
      requireTtl(ttlMs);
      const keys = [keyOf('lease', key), keyOf('fence', key)];
      const fence = await commands.run(acquireLease, keys, [owner, now(), ttlMs, fenceTtlMs]);
      return fence === 0 ? undefined : { fence: Number(fence) };
    },
    async renewLease(key, owner, fence, ttlMs) {
      requireTtl(ttlMs);
      const keys = [keyOf('lease', key), keyOf('fence', key)];
      return (await commands.run(renewLease, keys, [fence, owner, now(), ttlMs, fenceTtlMs])) === 1;
    },
    async releaseLease(key, owner, fence) {
      return (await commands.run(releaseLease, [keyOf('lease', key)], [fence, owner, now()])) === 1;
    },

    async appendEvent(ring, event, { maxEvents, ttlMs, lease }) {
      requireTtl(ttlMs);
      requireCount(maxEvents);
      if (lease !== undefined) requireSameTag(ring, lease.key);
      const keys = [keyOf('ring', ring), ...(lease === undefined ? [] : [keyOf('lease', lease.key)])];
      const seq = await commands.run(appendEvent, keys, [lease?.fence ?? '', event, maxEvents, now(), ttlMs]);
      return seq === 0 ? 'fenced' : Number(seq);
    },
    async readEvents(ring, afterSeq, limit) {
      requireCount(limit);
      return readReply(await commands.run(readEvents, [keyOf('ring', ring)], [afterSeq, limit, now()]));
    },

    async publish(channel, message) {
      await commands.send(client => client.publish(prefix + channel, message));
    },
    subscribe: (channel, listener, options) =>
      subscriptions.add(prefix + channel, { listener, onGap: options?.onGap }),
    async ping() {
      await commands.send(client => client.ping());
    },
    async close() {
      redis.disconnect();
      subscriptions.close();
    },
  };
}

/** Reads what the script returns: the oldest number, then numbers and events in turn. */
function readReply(reply: unknown): { events: RingEvent[]; oldestSeq: number } {
  const [oldest, ...rest] = reply as (number | string)[]; // the shape stands at the script
  const events: RingEvent[] = [];
  for (let index = 0; index < rest.length; index += 2) {
    events.push({ seq: Number(rest[index]), event: String(rest[index + 1]) });
  }
  return { events, oldestSeq: Number(oldest) };
}
