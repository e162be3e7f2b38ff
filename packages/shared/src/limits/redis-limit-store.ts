import type { Clock } from '../clock.ts';
import { newId } from '../ids.ts';
import { connectRedis, firstTry, RedisCommands, type RedisConfig } from '../stores/redis-connection.ts';
import type { LimitCheck } from './limit.ts';
import type { LimitChange, LimitStore } from './limit-store.ts';
import { admitScript, renewScript } from './redis-limit-scripts.ts';

/** Places renewed in one call, so that a call stays short. */
const maxPlaces = 500;

/**
 * Limits that replicas share. On a Cluster all of them live on one node, because a request asks all of its limits at once. They are counted by
 * the time of Redis, or by `nowMs` where a test owns it.
 */
export async function openRedisLimitStore(
  config: RedisConfig,
  clock: Clock,
  nowMs?: () => number,
): Promise<LimitStore> {
  const redis = connectRedis(config);
  const commands = new RedisCommands(redis, { clock, timeoutMs: config.command_timeout_ms });
  await firstTry(redis, clock, config.connect_timeout_ms);
  // Under `limit:` replicas of before count in milliseconds: each would take the places of the other for long over, or without end.
  const keyOf = (name: string) => `${config.key_prefix}limit-us:{limits}:${name}`;
  const groupKeys = [keyOf('group'), keyOf('replicas')];
  const groupArgs = () => [nowMs === undefined ? '' : nowMs() * 1000, newId('epoch', clock.now())];

  async function run(request: {
    readonly checks: readonly LimitCheck[];
    readonly lease: { readonly id: string; readonly ttlMs: number };
    readonly changes: readonly LimitChange[];
  }): Promise<{ epoch: string; replicas: number; refused: number; waitUs: number; states: number[] }> {
    const { checks, lease, changes } = request;
    const keys = [...groupKeys, ...[...changes, ...checks].map(each => keyOf(each.key))];
    const args = [...groupArgs(), lease.id, lease.ttlMs * 1000, changes.length];
    const reply = await commands.run(admitScript, keys, [
      ...args,
      ...changes.flatMap(changeArgs),
      ...checks.flatMap(checkArgs),
    ]);
    const [epoch = '', replicas, refused, waitUs, ...states] = reply as string[]; // the shape stands at the script
    return {
      epoch,
      replicas: Number(replicas),
      refused: Number(refused),
      waitUs: Number(waitUs),
      states: states.map(Number),
    };
  }

  return {
    async admit(request) {
      const { refused, waitUs, states, epoch, replicas } = await run(request);
      const group = { epoch, replicas };
      if (refused === 0) return { type: 'admitted', states, group };
      return { type: 'refused', check: refused - 1, waitUs, states, group };
    },
    async apply(changes) {
      if (changes.length > 0) await run({ checks: [], lease: { id: '', ttlMs: 0 }, changes });
    },
    async renew({ replica, ttlMs, places }) {
      let replicas = 1;
      for (let from = 0; from === 0 || from < places.length; from += maxPlaces) {
        const part = places.slice(from, from + maxPlaces);
        const keys = [...groupKeys, ...part.map(place => keyOf(place.key))];
        const args = [...groupArgs(), ttlMs * 1000, replica, ...part.map(place => place.leaseId)];
        replicas = Number(await commands.run(renewScript, keys, args));
      }
      return { replicas };
    },
    async close() {
      redis.disconnect();
    },
  };
}

function changeArgs(change: LimitChange): (string | number)[] {
  return change.type === 'leave' ? ['l', change.leaseId] : ['r', change.deltaUs];
}

function checkArgs(check: LimitCheck): (string | number)[] {
  return check.type === 'rate' ? ['r', check.incrementUs, check.burstUs] : ['c', check.limit, 0];
}
