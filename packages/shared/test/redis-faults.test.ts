import { systemClock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { openHot } from '@strata/shared/stores/open-hot.ts';
import { hotSection } from '@strata/shared/stores/store-section.ts';
import { startChaosProxy } from '@strata/shared/testing/chaos-proxy.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { isMissing, type PrivateServer } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, test } from 'vitest';

const redis = await startRedis();
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});

if (isMissing(redis)) test.skip(`Redis that fails: ${redis.missing}`, () => {});
else describe('Redis that fails', () => suite(redis));

function suite(server: PrivateServer): void {
  const opened: { close(): unknown }[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(each => each.close()));
  });
  let prefixes = 0;

  const open = async (clock = systemClock, url = server.url, config: object = {}): Promise<Hot> => {
    const hot = await openHot(hotSection.parse({ url, key_prefix: `test${++prefixes}:`, ...config }), clock);
    opened.push(hot);
    return hot;
  };
  /** What an operator does. */
  const operator = () => {
    const client = new Redis(server.url);
    opened.push({ close: () => client.disconnect() });
    return client;
  };
  const outcomeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: unknown) => (error instanceof GatewayError ? error.reason : String(error)),
    );
  const untilAnswered = (hot: Hot) => untilTrue(async () => (await outcomeOf(hot.ping())) === 'done');

  test('[F21] hung: one command waits for its limit, the next ones not at all; awake, it is used again', async () => {
    const clock = createManualClock();
    const hot = await open(clock);
    await hot.ping();
    server.pause();
    try {
      const late = outcomeOf(hot.acquireLease('k', 'me', 1000));
      await clock.advance(49);
      expect(await Promise.race([late, Promise.resolve('waiting')])).toBe('waiting');
      await clock.advance(1);
      expect(await late).toBe('hot_store_unavailable');
      const refused = [hot.get('k'), hot.set('k', 'v', { ttlMs: 1 }), hot.publish('c', 'm'), hot.ping()];
      expect(await Promise.all(refused.map(outcomeOf))).toEqual(Array(4).fill('hot_store_unavailable'));
    } finally {
      server.resume();
    }
    await untilAnswered(hot);
    // What was too late was done all the same. To ask again is safe: the same owner has the same lease.
    expect(await hot.acquireLease('k', 'me', 1000)).toEqual({ fence: clock.now() - 50 });
  });

  test('[F21] hung: a caller is refused within 60 ms by the clock on the wall', async () => {
    const elapsed: number[] = [];
    for (let round = 0; round < 5; round++) {
      const hot = await open();
      await hot.ping();
      server.pause();
      const startedMs = performance.now();
      expect(await outcomeOf(hot.ping())).toBe('hot_store_unavailable');
      expect(await outcomeOf(hot.ping())).toBe('hot_store_unavailable');
      elapsed.push(performance.now() - startedMs);
      server.resume();
      await untilAnswered(hot);
    }
    expect(Math.min(...elapsed)).toBeLessThan(60); // the least, because a busy machine adds to the others
    expect(Math.min(...elapsed)).toBeGreaterThanOrEqual(45);
  });

  test('a process that was busy itself does not take Redis for hung', async () => {
    const hot = await open();
    await hot.ping();
    const asked = hot.ping();
    const untilMs = performance.now() + 120;
    while (performance.now() < untilMs); // longer than the limit, while the answer waits in the socket
    await asked;
    await hot.ping();
  });

  test('[F18] killed: what is under way and what comes is refused at once; started again, scripts and leases work', async () => {
    const clock = createManualClock();
    const hot = await open(clock);
    const before = await hot.acquireLease('k', 'me', 60_000);
    server.pause();
    const underWay = outcomeOf(hot.acquireLease('k', 'me', 60_000));
    await server.kill();
    expect(await underWay).toBe('hot_store_unavailable'); // although the clock stands still
    expect(await outcomeOf(hot.get('k'))).toBe('hot_store_unavailable');
    await server.restart();
    await untilAnswered(hot);
    await clock.advance(1);
    expect((await hot.acquireLease('k', 'other', 60_000))?.fence).toBeGreaterThan(
      before?.fence ?? Number.NaN,
    );
  });

  test('[F18] killed: subscriptions are made again, and told that they may have missed something', async () => {
    const hot = await open();
    const heard: string[] = [];
    await hot.subscribe('news', message => heard.push(message), { onGap: () => heard.push('gap') });
    await hot.publish('news', 'before');
    await untilTrue(async () => heard.length === 1);
    await server.kill();
    await server.restart();
    await untilTrue(async () => heard.includes('gap'));
    await untilAnswered(hot);
    await hot.publish('news', 'after');
    await untilTrue(async () => heard.includes('after'));
    expect(heard).toEqual(['before', 'gap', 'after']);
  });

  test('a store opened, and subscribed to, while Redis is away is whole once it is there', async () => {
    await server.stop();
    const hot = await open(createManualClock());
    expect(await outcomeOf(hot.ping())).toBe('hot_store_unavailable');
    const heard: string[] = [];
    await hot.subscribe('news', message => heard.push(message), { onGap: () => heard.push('gap') });
    expect(heard).toEqual(['gap']);
    await server.restart();
    await untilTrue(async () => heard.length === 2);
    await untilAnswered(hot);
    await hot.publish('news', 'hello');
    await untilTrue(async () => heard.includes('hello'));
    expect(heard).toEqual(['gap', 'gap', 'hello']);
  });

  test('[F20] emptied: the owner of before is not taken for the new one', async () => {
    const clock = createManualClock();
    const hot = await open(clock);
    const old = await hot.acquireLease('{s}', 'a', 60_000);
    await clock.advance(1);
    await operator().flushall();
    const current = await hot.acquireLease('{s}', 'b', 60_000);
    expect(current?.fence).toBeGreaterThan(old?.fence ?? Number.NaN);
    const append = (fence = 0) =>
      hot.appendEvent('{s}:ring', 'x', { maxEvents: 9, ttlMs: 9000, lease: { key: '{s}', fence } });
    expect(await append(old?.fence)).toBe('fenced');
    expect(await append(current?.fence)).toBe(1);
  });

  test('full: a write is refused for what it is, a read is answered', async () => {
    const hot = await open();
    await hot.set('k', 'v', { ttlMs: 60_000 });
    const admin = operator();
    await admin.config('SET', 'maxmemory', '1');
    try {
      expect(await outcomeOf(hot.set('k', 'w', { ttlMs: 60_000 }))).toBe('hot_store_full');
      expect(await hot.get('k')).toBe('v');
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
    await hot.set('k', 'w', { ttlMs: 60_000 });
  });

  test('what a ring forgot is gone from Redis too, and everything has an end', async () => {
    const hot = await open();
    const append = (maxEvents: number) => hot.appendEvent('ring', 'x', { maxEvents, ttlMs: 60_000 });
    for (let index = 0; index < 20; index++) await append(10);
    await append(2);
    await hot.acquireLease('k', 'me', 60_000);
    await hot.set('k', 'v', { ttlMs: 60_000 });
    const admin = operator();
    const keys = await admin.keys(`test${prefixes}:*`);
    expect(keys).toHaveLength(4); // a ring, a lease, its fence, a value
    expect(await Promise.all(keys.map(async key => (await admin.pttl(key)) > 60_000))).toEqual(
      keys.map(() => true),
    );
    const ring = keys.find(key => key.includes('ring:')) ?? '';
    expect((await admin.hkeys(ring)).sort()).toEqual(['20', '21', 'first', 'last', 'until']);
  });

  test('a mistake in the program is no word about the store', async () => {
    const hot = await open();
    await hot.set('k', 'v', { ttlMs: 60_000 });
    const admin = operator();
    const [key = ''] = await admin.keys(`test${prefixes}:*`);
    await admin.del(key);
    await admin.hset(key, 'not', 'text');
    await expect(hot.get('k')).rejects.not.toBeInstanceOf(GatewayError);
  });

  test('lost without a word: the connections are given up and made anew', async () => {
    const proxy = await startChaosProxy({ target: { port: server.port } });
    opened.push(proxy);
    const clock = createManualClock();
    const hot = await open(clock, `redis://127.0.0.1:${proxy.port}`);
    const heard: string[] = [];
    await hot.subscribe('news', message => heard.push(message), { onGap: () => heard.push('gap') });
    proxy.isolate();
    const lost = outcomeOf(hot.ping());
    await clock.advance(5000); // the subscriber's next heartbeat, too
    expect(await lost).toBe('hot_store_unavailable');
    await untilTrue(async () => heard.includes('gap'));
    await untilAnswered(hot);
    await hot.publish('news', 'hello');
    await untilTrue(async () => heard.includes('hello'));
    expect(heard).toEqual(['gap', 'hello']);
  });

  test('closed, it leaves nothing that waits', async () => {
    const clock = createManualClock();
    const hot = await open(clock);
    await hot.subscribe('news', () => {});
    await hot.set('k', 'v', { ttlMs: 60_000 });
    await hot.close();
    expect(clock.pending).toBe(0);
    expect(await outcomeOf(hot.ping())).toBe('hot_store_unavailable');
  });
}

/** Looks again and again, for what another process does at its own pace. The test's time limit is the limit. */
async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 5));
}
