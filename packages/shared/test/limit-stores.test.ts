import { systemClock } from '@strata/shared/clock.ts';
import { incrementOf, type Limit, type LimitCheck } from '@strata/shared/limits/limit.ts';
import type { LimitChange, LimitStore } from '@strata/shared/limits/limit-store.ts';
import { createLimiter } from '@strata/shared/limits/limiter.ts';
import { fixedLimits } from '@strata/shared/limits/limits-in-force.ts';
import { createMemoryLimitStore } from '@strata/shared/limits/memory-limit-store.ts';
import { openRedisLimitStore } from '@strata/shared/limits/redis-limit-store.ts';
import { Secret } from '@strata/shared/secret.ts';
import { connectRedis, firstTry } from '@strata/shared/stores/redis-connection.ts';
import { hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import fc from 'fast-check';
import pino from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { limitContract } from './contracts/limit-contract.ts';

const redis = await startRedis();
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});
const log = pino({ level: 'silent' });

let opened = 0;
const openRedis = (prefix = `limits${++opened}:`, nowMs?: () => number): Promise<LimitStore> =>
  openRedisLimitStore(
    {
      ...hotSection.parse({ key_prefix: prefix, command_timeout_ms: 5000 }),
      url: new Secret(isMissing(redis) ? '' : redis.url),
    },
    systemClock,
    nowMs,
  );
const openTimed = (clock: ManualClock) => openRedis(undefined, () => clock.now());

limitContract('memory', async clock => createMemoryLimitStore(clock));
if (isMissing(redis)) test.skip(`Redis as a store of limits: ${redis.missing}`, () => {});
else limitContract('Redis', openTimed);

type Command =
  | {
      readonly type: 'admit';
      readonly checks: readonly LimitCheck[];
      readonly id: string;
      readonly leave: string | undefined;
    }
  | { readonly type: 'correct'; readonly change: LimitChange }
  | { readonly type: 'renew'; readonly id: string }
  | { readonly type: 'wait'; readonly ms: number };

const limit = { amount: 7, windowMs: 10_000 }; // does not divide evenly
const burstUs = limit.windowMs * 1000;
const id = fc.constantFrom('a', 'b', 'c', 'd');
const check: fc.Arbitrary<LimitCheck> = fc.oneof(
  fc.record({
    type: fc.constant('rate' as const),
    key: fc.constantFrom('r1', 'r2'),
    incrementUs: fc.nat(9).map(amount => incrementOf(limit, amount)),
    burstUs: fc.constant(burstUs),
  }),
  fc.record({
    type: fc.constant('concurrency' as const),
    key: fc.constantFrom('c1', 'c2'),
    limit: fc.integer({ min: 1, max: 3 }),
  }),
);
const checks = fc.uniqueArray(check, { maxLength: 4, selector: each => each.key });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('admit' as const),
      checks,
      id,
      leave: fc.option(id, { nil: undefined }),
    }),
  },
  fc.record({
    type: fc.constant('correct' as const),
    change: fc.record({
      type: fc.constant('rate' as const),
      key: fc.constantFrom('r1', 'r2'),
      deltaUs: fc.integer({ min: -2e7, max: 2e7 }),
      burstUs: fc.constant(burstUs),
    }),
  }),
  fc.record({ type: fc.constant('renew' as const), id }),
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 700, 1429, 5000, 12_000),
    }),
  },
);

async function run(store: LimitStore, each: Command, clock: ManualClock): Promise<unknown> {
  switch (each.type) {
    case 'admit': {
      const changes =
        each.leave === undefined ? [] : [{ type: 'leave', key: 'c1', leaseId: each.leave } as const];
      const answer = await store.admit({
        checks: each.checks,
        lease: { id: each.id, ttlMs: 6000 },
        changes,
      });
      return { ...answer, group: { ...answer.group, epoch: '' } };
    }
    case 'correct':
      return store.apply([each.change]);
    case 'renew':
      return store.renew({
        replica: 'r',
        ttlMs: 6000,
        places: [{ key: 'c1', leaseId: each.id }],
      });
    case 'wait':
      await clock.advance(each.ms);
      return undefined;
  }
}

describe('any sequence of requests', () => {
  test('[I7] in any window no more than twice the amount passes, and over time no more than the amount a window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ amount: fc.integer({ min: 1, max: 4 }), waitMs: fc.nat(3000) }), {
          maxLength: 60,
        }),
        async list => {
          const clock = createManualClock();
          const store = createMemoryLimitStore(clock);
          const startMs = clock.now();
          const passed: { atMs: number; amount: number }[] = [];
          for (const { amount, waitMs } of list) {
            const one: LimitCheck = {
              type: 'rate',
              key: 'k',
              incrementUs: incrementOf(limit, amount),
              burstUs,
            };
            const { type } = await store.admit({
              checks: [one],
              lease: { id: 'x', ttlMs: 0 },
              changes: [],
            });
            if (type === 'admitted') passed.push({ atMs: clock.now(), amount });
            await clock.advance(waitMs);
          }
          for (const { atMs } of passed) {
            const inWindow = passed.filter(each => each.atMs > atMs - limit.windowMs && each.atMs <= atMs);
            expect(inWindow.reduce((sum, each) => sum + each.amount, 0)).toBeLessThanOrEqual(
              2 * limit.amount,
            );
          }
          const total = passed.reduce((sum, each) => sum + each.amount, 0);
          expect(total).toBeLessThanOrEqual(limit.amount * (1 + (clock.now() - startMs) / limit.windowMs));
        },
      ),
      modelRuns('limits', 'memory'),
    );
  });

  test.skipIf(isMissing(redis))('gets the same answers from memory and from Redis', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40 }), async list => {
        const clock = createManualClock();
        const [memory, remote] = [createMemoryLimitStore(clock), await openTimed(clock)];
        try {
          for (const each of list) {
            const expected = await run(memory, each, clock);
            if (each.type === 'wait') continue;
            expect(await run(remote, each, clock), JSON.stringify(each)).toEqual(expected);
          }
        } finally {
          await Promise.all([memory.close(), remote.close()]);
        }
      }),
      modelRuns('limits', 'Redis'),
    );
  });
});

const perHour: Limit = {
  id: 'config:hourly',
  name: 'hourly',
  tenant: 'acme',
  subject: { kind: 'key', id: '*' },
  isEach: true,
  unit: 'requests',
  amount: 60,
  windowMs: 3_600_000,
};
const request = (key = 'key_1') => ({
  tenant: 'acme',
  subjects: [{ kind: 'key', id: key } as const],
  amounts: () => ({ requests: 1 }),
});

describe('a limiter', () => {
  test('every id has a limit for itself; a refusal says which, how long, and how much there is', async () => {
    const clock = createManualClock();
    const limiter = createLimiter({
      limits: fixedLimits([{ ...perHour, amount: 2 }]),
      shared: undefined,
      clock,
      log,
    });
    const pass = await limiter.admit(request());
    expect(pass.headers).toEqual({
      'ratelimit-policy': '"hourly";q=2;w=3600',
      ratelimit: '"hourly";r=1;t=1800',
    });
    await limiter.admit(request());
    await limiter.admit(request('key_2'));
    await expect(limiter.admit(request())).rejects.toMatchObject({
      kind: 'rate_limited',
      reason: 'rate_limit_exceeded',
      retryAfterMs: 1_800_000,
      headers: { ratelimit: '"hourly";r=0;t=3600' },
    });
    await limiter.close();
  });

  test('tokens are taken by estimate and corrected by use; places end with their request, once', async () => {
    const clock = createManualClock();
    const limits: Limit[] = [
      { ...perHour, id: 'config:tokens', name: 'tokens', unit: 'output_tokens', amount: 1000 },
      { ...perHour, id: 'config:room', name: 'room', unit: 'concurrency', amount: 1 },
    ];
    const limiter = createLimiter({ limits: fixedLimits(limits), shared: undefined, clock, log });
    const ask = (tokens: number) =>
      limiter.admit({ ...request(), amounts: () => ({ output_tokens: tokens }) });
    const first = await ask(900);
    await expect(ask(10)).rejects.toMatchObject({ reason: 'concurrency_exceeded' });
    first.finish({ output_tokens: 100 });
    first.finish({ output_tokens: 0 });
    const second = await ask(900);
    second.finish();
    await expect(ask(10)).rejects.toMatchObject({ reason: 'rate_limit_exceeded' });
    await limiter.close();
  });

  test.skipIf(isMissing(redis))(
    'a request costs no more than one round trip, its end and its corrections included',
    async () => {
      const store = await openRedis();
      let roundTrips = 0;
      const counting: LimitStore = {
        ...store,
        admit: request => {
          roundTrips++;
          return store.admit(request);
        },
        apply: changes => {
          roundTrips++;
          return store.apply(changes);
        },
      };
      const limits: Limit[] = [
        { ...perHour, amount: 1_000_000 },
        { ...perHour, id: 'config:tokens', name: 'tokens', unit: 'output_tokens', amount: 1_000_000 },
        { ...perHour, id: 'config:room', name: 'room', unit: 'concurrency', amount: 100 },
      ];
      const limiter = createLimiter({
        limits: fixedLimits(limits),
        shared: counting,
        clock: createManualClock(),
        log,
      });
      const requests = 300;
      for (let count = 0; count < requests; count++) {
        const pass = await limiter.admit({
          ...request(),
          amounts: () => ({ requests: 1, output_tokens: 50 }),
        });
        pass.finish({ output_tokens: 20 });
      }
      expect(roundTrips).toBeLessThanOrEqual(requests);
      await limiter.close();
    },
  );

  test.skipIf(isMissing(redis))(
    'a replica of before, which counts in milliseconds under keys of its own, keeps its places while replicas are replaced',
    async () => {
      if (isMissing(redis)) return;
      const prefix = `rolling${++opened}:`;
      const client = connectRedis({ ...hotSection.parse({}), url: new Secret(redis.url) });
      await firstTry(client, systemClock, 5000);
      const before = ['replicas', 'places'].map(name => `${prefix}limit:{limits}:${name}`);
      const untilMs = Date.now() + 60_000;
      for (const key of before) await client.zadd(key, untilMs, 'old');
      const store = await openRedis(prefix);
      const checks = [{ type: 'concurrency' as const, key: 'places', limit: 1 }];
      await store.admit({ checks, lease: { id: 'new', ttlMs: 60_000 }, changes: [] });
      await store.renew({ replica: 'new', ttlMs: 60_000, places: [{ key: 'places', leaseId: 'new' }] });
      for (const key of before)
        expect(await client.zrange(key, '0', '-1', 'WITHSCORES')).toEqual(['old', String(untilMs)]);
      await store.close();
      client.disconnect();
    },
  );

  test.skipIf(isMissing(redis))(
    '[I7] [F18] [F20] Redis killed and restarted under load: three replicas let no more than twice the limit through, and share again',
    async () => {
      if (isMissing(redis)) return;
      const prefix = `outage${++opened}:`;
      const stores = await Promise.all([1, 2, 3].map(() => openRedis(prefix)));
      const limiters = stores.map(shared =>
        createLimiter({ limits: fixedLimits([perHour]), shared, clock: systemClock, log }),
      );
      let passed = 0;
      const load = (times: number) =>
        Promise.all(
          limiters.map(async limiter => {
            for (let count = 0; count < times; count++) {
              const pass = await Promise.resolve(limiter.admit(request())).catch(() => undefined);
              if (pass === undefined) continue;
              passed++;
              pass.finish();
            }
          }),
        );
      await expect
        .poll(async () => (await stores[0]?.renew({ replica: 'probe', ttlMs: 1, places: [] }))?.replicas, {
          timeout: 20_000,
        })
        .toBeGreaterThanOrEqual(3);
      await Promise.all(limiters.map(limiter => limiter.admit(request('other')))); // each has seen Redis
      await load(25);
      expect(passed).toBe(60); // while it is there, exactly the limit
      await redis.kill();
      await load(50);
      expect(limiters.every(limiter => limiter.isAlone)).toBe(true);
      expect(passed).toBeLessThanOrEqual(60 + 60);
      await redis.restart();
      await expect
        .poll(
          async () => {
            await load(5);
            return limiters.some(limiter => limiter.isAlone);
          },
          { timeout: 30_000 },
        )
        .toBe(false);
      await load(50);
      expect(passed).toBeLessThanOrEqual(2 * 60 + 1); // an hour's bucket fills by one a minute
      await Promise.all(limiters.map(limiter => limiter.close()));
    },
  );
});
