import { type Clock, systemClock } from '@strata/shared/clock.ts';
import { fixedLimits } from '@strata/shared/limits/limits-in-force.ts';
import { openLimiter } from '@strata/shared/limits/open-limiter.ts';
import { type HotConfig, hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import fc from 'fast-check';
import pino from 'pino';
import { afterAll, expect, test } from 'vitest';

const hourMs = 3_600_000;
const redis = await startRedis();
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});

const limit = {
  id: 'config:hourly',
  name: 'hourly',
  tenant: 'acme',
  subject: { kind: 'key', id: '*' },
  isEach: true,
  unit: 'requests',
  amount: 20,
  windowMs: 24 * hourMs,
} as const;

async function open(clock: Clock, hot: HotConfig = hotSection.parse({})) {
  const limiter = await openLimiter({
    limits: fixedLimits([limit]),
    hot,
    clock,
    log: pino({ level: 'silent' }),
  });
  const ask = async () => {
    try {
      await limiter.admit({
        tenant: 'acme',
        subjects: [{ kind: 'key', id: 'key_1' }],
        amounts: () => ({ requests: 1 }),
      });
      return 'passed';
    } catch (error) {
      expect(error).toMatchObject({ reason: 'rate_limit_exceeded' });
      return 'refused';
    }
  };
  return { ask, close: () => limiter.close() };
}

test('[I7] property: however the wall clock is set, a limit counts by what has passed', async () => {
  const shift = fc.integer({ min: -3 * hourMs, max: 3 * hourMs });
  const wait = fc.integer({ min: 0, max: 3 * hourMs });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(shift, wait), { maxLength: 40 }), async steps => {
      const [moved, still] = [createManualClock(), createManualClock()];
      const [one, other] = [await open(moved), await open(still)];
      for (const [shiftMs, waitMs] of steps) {
        moved.shiftWallClock(shiftMs);
        for (let count = 0; count < 3; count++) expect(await one.ask()).toBe(await other.ask());
        await moved.advance(waitMs);
        await still.advance(waitMs);
      }
      await one.close();
      await other.close();
    }),
  );
});

test.skipIf(isMissing(redis))(
  '[I7] replicas whose clocks are days apart, and are set while they run, share a limit as if they were not',
  async () => {
    const hot = hotSection.parse({
      url: isMissing(redis) ? undefined : redis.url,
      command_timeout_ms: 5000,
    });
    const days = [-1, 0, 30];
    const clocks = days.map((_, index) => ({
      ...systemClock,
      now: () => Date.now() + (days[index] ?? 0) * 24 * hourMs,
    }));
    const replicas = await Promise.all(clocks.map(clock => open(clock, hot)));
    const answers: string[] = [];
    for (let round = 0; round < 10; round++) {
      for (const { ask } of replicas) answers.push(await ask());
      days.unshift(days.pop() ?? 0);
    }
    expect(answers.filter(answer => answer === 'passed')).toHaveLength(limit.amount);
    expect(answers.slice(0, limit.amount)).not.toContain('refused');
    await Promise.all(replicas.map(({ close }) => close()));
  },
);
