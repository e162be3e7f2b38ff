import { Redis } from 'ioredis';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Secret } from '../secret.ts';
import { fenceTtlMs, type Hot, type RingEvent } from './hot.ts';
import {
  acquireLease,
  appendEvent,
  readEvents,
  releaseLease,
  renewLease,
  type Script,
  setValue,
} from './redis-scripts.ts';
import type { HotConfig } from './store-section.ts';

type RedisConfig = Omit<HotConfig, 'url'> & { readonly url: Secret };

const maxReconnectDelayMs = 1000;
const connectTimeoutMs = 2000;

/**
 * The hot port on Redis. A command that cannot be answered soon fails soon: nothing is queued while Redis is away and nothing is sent twice,
 * because an append that was applied but not answered must not be applied again.
 */
export async function openRedisHot(config: RedisConfig, clock: Clock): Promise<Hot> {
  const redis = connect(config, 'commands');
  const subscriber = connect(config, 'subscriber');
  // Started while Redis is away, a gateway serves what needs no shared state and is whole again once Redis is back.
  await Promise.race([Promise.all([ready(redis), ready(subscriber)]), clock.sleep(connectTimeoutMs)]);
  const listeners = new Map<string, Set<(message: string) => void>>();
  subscriber.on('message', (channel: string, message: string) => {
    for (const listener of [...(listeners.get(channel) ?? [])]) listener(message);
  });
  const prefix = config.key_prefix;
  const keyOf = (kind: string, key: string) => `${prefix}${kind}:${key.includes('{') ? key : `{${key}}`}`;
  const now = () => clock.now();

  async function run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    return answered(() => evaluate(redis, script, keys, args));
  }

  return {
    async get(key) {
      const stored = await answered(() => redis.get(keyOf('value', key)));
      if (stored === null) return undefined;
      const colon = stored.indexOf(':');
      return Number(stored.slice(0, colon)) > now() ? stored.slice(colon + 1) : undefined;
    },
    async set(key, value, { ttlMs }) {
      await run(setValue, [keyOf('value', key)], [value, now(), ttlMs]);
    },
    async delete(key) {
      await answered(() => redis.del(keyOf('value', key)));
    },

    async acquireLease(key, owner, ttlMs) {
      const fence = await run(
        acquireLease,
        [keyOf('lease', key), keyOf('fence', key)],
        [owner, now(), ttlMs, fenceTtlMs],
      );
      return fence === 0 ? undefined : { fence: Number(fence) };
    },
    renewLease: async (key, owner, fence, ttlMs) =>
      (await run(renewLease, [keyOf('lease', key)], [owner, fence, now(), ttlMs])) === 1,
    releaseLease: async (key, owner, fence) =>
      (await run(releaseLease, [keyOf('lease', key)], [owner, fence, now()])) === 1,

    async appendEvent(ring, event, { maxEvents, ttlMs, lease }) {
      const keys = [keyOf('ring', ring), ...(lease === undefined ? [] : [keyOf('lease', lease.key)])];
      const seq = await run(appendEvent, keys, [event, maxEvents, now(), ttlMs, lease?.fence ?? '']);
      return seq === 0 ? 'fenced' : Number(seq);
    },
    async readEvents(ring, afterSeq, limit) {
      const reply = (await run(readEvents, [keyOf('ring', ring)], [afterSeq, limit, now()])) as (
        | number
        | string
      )[]; // as the script returns
      const events: RingEvent[] = [];
      for (let index = 1; index < reply.length; index += 2) {
        events.push({ seq: Number(reply[index]), event: String(reply[index + 1]) });
      }
      return { events, oldestSeq: Number(reply[0] ?? 0) };
    },

    async publish(channel, message) {
      await answered(() => redis.publish(prefix + channel, message));
    },
    async subscribe(channel, listener) {
      const name = prefix + channel;
      const own = (message: string) => listener(message);
      const all = listeners.get(name) ?? new Set();
      listeners.set(name, all.add(own));
      if (all.size === 1) await answered(() => subscriber.subscribe(name));
      return async () => {
        all.delete(own);
        if (all.size > 0) return;
        listeners.delete(name);
        await answered(() => subscriber.unsubscribe(name));
      };
    },
    async ping() {
      await answered(() => redis.ping());
    },
    async close() {
      redis.disconnect();
      subscriber.disconnect();
    },
  };
}

function connect(config: RedisConfig, role: 'commands' | 'subscriber'): Redis {
  const redis = new Redis(config.url.reveal(), {
    connectTimeout: connectTimeoutMs,
    commandTimeout: config.command_timeout_ms,
    enableOfflineQueue: role === 'subscriber', // subscriptions made while Redis is away take effect when it is back
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: true,
    retryStrategy: attempt => Math.min(50 * 2 ** attempt, maxReconnectDelayMs),
  });
  redis.on('error', () => {}); // every command says for itself that Redis is away
  return redis;
}

function ready(redis: Redis): Promise<unknown> {
  return new Promise(resolve => redis.once('ready', resolve));
}

async function evaluate(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha1, keys.length, ...keys, ...args);
  } catch (error) {
    // The error code of the protocol stands at the start of the reply. A restarted Redis has forgotten its scripts.
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script.source, keys.length, ...keys, ...args);
  }
}

async function answered<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (error) {
    throw new GatewayError('overloaded', 'The shared state cannot be reached right now.', {
      reason: 'hot_store_unavailable',
      retryAfterMs: 1000,
      cause: error,
    });
  }
}
