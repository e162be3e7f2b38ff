import { type Clock, systemClock } from '@strata/shared/clock.ts';
import { fixedLimits } from '@strata/shared/limits/limits-in-force.ts';
import { openLimiter } from '@strata/shared/limits/open-limiter.ts';
import { createSteadyClock } from '@strata/shared/limits/steady-clock.ts';
import { type HotConfig, hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import fc from 'fast-check';
import pino from 'pino';
import { afterAll, expect, test } from 'vitest';

const hourMs = 3_600_000;

test('property: however the wall clock is set, time goes on as it does', async () => {
  const shift = fc.integer({ min: -3 * hourMs, max: 3 * hourMs });
  const wait = fc.integer({ min: 1, max: hourMs });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(shift, wait), { maxLength: 20 }), async steps => {
      const clock = createManualClock();
      const steady = createSteadyClock(clock);
      for (const [shiftMs, waitMs] of steps) {
        const beforeMs = steady.now();
        clock.shiftWallClock(shiftMs);
        await clock.advance(waitMs);
        expect(steady.now() - beforeMs).toBe(waitMs);
      }
    }),
  );
});

test('it begins with the wall clock, and goes on from what it is set to', async () => {
  const clock = createManualClock();
  const steady = createSteadyClock(clock);
  await clock.advance(hourMs);
  expect(steady.now()).toBe(clock.now());
  steady.setTo(1000.6);
  await clock.advance(1);
  expect(steady.now()).toBe(1001);
});

const limit = {
  id: 'config:minutely',
  name: 'minutely',
  tenant: 'acme',
  subject: { kind: 'key', id: '*' },
  isEach: true,
  unit: 'requests',
  amount: 2,
  windowMs: 60_000,
} as const;

async function open(clock: Clock, hot: HotConfig, amount = 2) {
  const limiter = await openLimiter({
    limits: fixedLimits([{ ...limit, amount }]),
    hot,
    clock,
    log: pino({ level: 'silent' }),
  });
  const ask = () =>
    limiter.admit({
      tenant: 'acme',
      subjects: [{ kind: 'key', id: 'key_1' }],
      amounts: () => ({ requests: 1 }),
    });
  return { ask, close: () => limiter.close() };
}

test('[I7] a wall clock that is set back by a day neither opens a limit nor closes it', async () => {
  const clock = createManualClock();
  const { ask, close } = await open(clock, hotSection.parse({}));
  await ask();
  await ask();
  clock.shiftWallClock(-24 * hourMs);
  await expect(ask()).rejects.toMatchObject({
    retryAfterMs: 30_000,
    headers: { ratelimit: '"minutely";r=0;t=60' },
  });
  await clock.advance(30_000);
  expect((await ask()).headers).toMatchObject({ ratelimit: '"minutely";r=0;t=60' });
  await close();
});

const redis = await startRedis();
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});

async function outcomeOf(ask: () => unknown): Promise<string> {
  try {
    await ask();
    return 'passed';
  } catch (error) {
    expect(error).toMatchObject({ reason: 'rate_limit_exceeded' });
    return 'refused';
  }
}

test.skipIf(isMissing(redis))(
  '[I7] replicas whose clocks are a day apart share a limit as if they were not',
  async () => {
    const hot = hotSection.parse({ url: isMissing(redis) ? undefined : redis.url, command_timeout_ms: 5000 });
    const clocks = [-1, 0, 1].map(day => ({ ...systemClock, now: () => Date.now() + day * 24 * hourMs }));
    const replicas = await Promise.all(clocks.map(clock => open(clock, hot, 20)));
    const answers: string[] = [];
    for (let round = 0; round < 10; round++)
      for (const { ask } of replicas) answers.push(await outcomeOf(ask));
    const passed = answers.filter(answer => answer === 'passed').length;
    expect(passed).toBeGreaterThanOrEqual(19); // what one reads of the clock of Redis is a little old
    expect(passed).toBeLessThanOrEqual(21);
    await Promise.all(replicas.map(({ close }) => close()));
  },
);
