import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { openHot } from '@strata/shared/stores/open-hot.ts';
import { hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { isMissing, type PrivateServer } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';

/** What every hot store must do, in the process and on Redis. */

const redis = await startRedis();
const redisUrl = isMissing(redis) ? undefined : redis.url;
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});

let prefix = 0;
const open = (url: string | undefined, clock: ManualClock, config: object = {}) =>
  openHot(hotSection.parse({ url, key_prefix: `test${prefix}:`, ...config }), clock);
const stores: [string, string | undefined][] = [
  ['memory', undefined],
  ...(redisUrl === undefined ? [] : [['Redis', redisUrl] as [string, string]]),
];

describe.for(stores)('%s', ([, url]) => {
  let clock: ManualClock;
  let hot: Hot;
  beforeEach(async () => {
    prefix++;
    clock = createManualClock();
    hot = await open(url, clock);
    return () => hot.close();
  });

  test('values last as long as they were told to', async () => {
    await hot.set('k', 'value: with colons', { ttlMs: 1000 });
    expect(await hot.get('k')).toBe('value: with colons');
    await clock.advance(999);
    expect(await hot.get('k')).toBe('value: with colons');
    await clock.advance(1);
    expect(await hot.get('k')).toBeUndefined();
    await hot.set('k', '', { ttlMs: 1000 });
    await hot.delete('k');
    expect(await hot.get('k')).toBeUndefined();
  });

  test('[MCP-2] one holder at a time; a new holder has a higher fence; the old one can do nothing more', async () => {
    const first = await hot.acquireLease('{s}', 'a', 1000);
    expect(await hot.acquireLease('{s}', 'b', 1000)).toBeUndefined();
    expect(await hot.acquireLease('{s}', 'a', 1000)).toEqual(first);
    await clock.advance(1000);
    const second = await hot.acquireLease('{s}', 'b', 1000);
    expect(second?.fence).toBeGreaterThan(first?.fence ?? Number.NaN);
    const old = first?.fence ?? 0;
    const append = (fence: number) =>
      hot.appendEvent('{s}:ring', 'x', { maxEvents: 9, ttlMs: 9000, lease: { key: '{s}', fence } });
    expect(await hot.renewLease('{s}', 'a', old, 1000)).toBe(false);
    expect(await hot.releaseLease('{s}', 'a', old)).toBe(false);
    expect(await append(old)).toBe('fenced');
    expect(await append(second?.fence ?? 0)).toBe(1);
    expect(await hot.renewLease('{s}', 'b', second?.fence ?? 0, 1000)).toBe(true);
    expect(await hot.releaseLease('{s}', 'b', second?.fence ?? 0)).toBe(true);
    expect((await hot.acquireLease('{s}', 'a', 1000))?.fence).toBeGreaterThan(second?.fence ?? Number.NaN);
  });

  test('[MCP-2] a ring gives exactly the events after a number, and says what it has forgotten', async () => {
    for (let index = 1; index <= 5; index++) {
      expect(await hot.appendEvent('ring', `event ${index}`, { maxEvents: 3, ttlMs: 1000 })).toBe(index);
    }
    expect(await hot.readEvents('ring', 3, 10)).toEqual({
      events: [4, 5].map(seq => ({ seq, event: `event ${seq}` })),
      oldestSeq: 3,
    });
    expect((await hot.readEvents('ring', 0, 2)).events.map(each => each.seq)).toEqual([3, 4]);
    expect(await hot.readEvents('ring', 5, 10)).toEqual({ events: [], oldestSeq: 3 });
    await clock.advance(1000);
    expect(await hot.readEvents('ring', 0, 10)).toEqual({ events: [], oldestSeq: 0 });
    expect(await hot.appendEvent('ring', 'anew', { maxEvents: 3, ttlMs: 1000 })).toBe(1);
  });

  test('word gets to everybody who listens, and to nobody who stopped', async () => {
    const seen: string[] = [];
    let arrived: () => void = () => {};
    const both = new Promise<void>(resolve => {
      arrived = () => seen.length === 2 && resolve();
    });
    const listener = (message: string) => {
      seen.push(message);
      arrived();
    };
    await hot.subscribe('news', listener);
    const stop = await hot.subscribe('news', listener);
    await hot.publish('news', 'hello');
    await both;
    await stop();
    await hot.publish('other', 'not for us');
    expect(seen).toEqual(['hello', 'hello']);
  });
});

describe.skipIf(redisUrl === undefined)('both', () => {
  test('memory and Redis give the same answers to the same commands', async () => {
    const key = fc.constantFrom('{a}', '{b}');
    const owner = fc.constantFrom('x', 'y');
    const command = fc.oneof(
      fc.record({
        type: fc.constant('acquire' as const),
        key,
        owner,
        ttl: fc.integer({ min: 500, max: 3000 }),
      }),
      fc.record({
        type: fc.constant('renew' as const),
        key,
        owner,
        ttl: fc.integer({ min: 500, max: 3000 }),
      }),
      fc.record({ type: fc.constant('release' as const), key, owner }),
      fc.record({ type: fc.constant('append' as const), key, owner, isFenced: fc.boolean() }),
      fc.record({ type: fc.constant('read' as const), key, after: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ type: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 2000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 40 }), async commands => {
        prefix++;
        const clock = createManualClock();
        const [memory, remote] = [await open(undefined, clock), await open(redisUrl, clock)];
        const fences = new Map<string, number>();
        for (const each of commands) {
          if (each.type === 'advance') {
            await clock.advance(each.ms);
            continue;
          }
          const fence = 'owner' in each ? (fences.get(each.key + each.owner) ?? 0) : 0;
          const run = async (hot: Hot): Promise<unknown> => {
            if (each.type === 'acquire') return hot.acquireLease(each.key, each.owner, each.ttl);
            if (each.type === 'renew') return hot.renewLease(each.key, each.owner, fence, each.ttl);
            if (each.type === 'release') return hot.releaseLease(each.key, each.owner, fence);
            if (each.type === 'read') return hot.readEvents(`${each.key}:ring`, each.after, 5);
            const lease = each.isFenced ? { lease: { key: each.key, fence } } : {};
            return hot.appendEvent(`${each.key}:ring`, 'e', { maxEvents: 4, ttlMs: 5000, ...lease });
          };
          const expected = await run(memory);
          expect(await run(remote), JSON.stringify(each)).toEqual(expected);
          if (each.type === 'acquire' && expected !== undefined)
            fences.set(each.key + each.owner, (expected as { fence: number }).fence);
        }
        await Promise.all([memory.close(), remote.close()]);
      }),
      { numRuns: 60 },
    );
  });

  test('[F21] a Redis that hangs, or is gone, fails a command soon; back again, commands and subscriptions work', async () => {
    const server = redis as PrivateServer; // not missing, or this would be skipped
    const hot = await open(server.url, createManualClock(), { command_timeout_ms: 50 });
    let heard: (message: string) => void = () => {};
    await hot.subscribe('news', message => heard(message));
    await hot.ping();
    process.kill(server.pid, 'SIGSTOP');
    const started = performance.now();
    await expect(hot.ping()).rejects.toBeInstanceOf(GatewayError);
    expect(performance.now() - started).toBeLessThan(500);
    process.kill(server.pid, 'SIGCONT');
    await server.kill();
    await expect(hot.ping()).rejects.toMatchObject({ reason: 'hot_store_unavailable' });
    await server.restart();
    const message = new Promise<string>(resolve => {
      heard = resolve;
    });
    await until(() => hot.ping());
    await until(() => hot.acquireLease('k', 'a', 1000));
    const publishing = setInterval(() => void hot.publish('news', 'back').catch(() => {}), 20);
    expect(await message).toBe('back');
    clearInterval(publishing);
    await hot.close();
  });
});

/** Repeats until it works: for how soon a connection is made again, which is not ours to say. */
async function until(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const worked = await work().then(
      () => true,
      () => false,
    );
    if (worked) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}
