import { fixedLimits } from '@strata/shared/limits/limits-in-force.ts';
import { openLimiter } from '@strata/shared/limits/open-limiter.ts';
import { createSteadyClock } from '@strata/shared/limits/steady-clock.ts';
import { hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import fc from 'fast-check';
import pino from 'pino';
import { expect, test } from 'vitest';

const hourMs = 3_600_000;

test('property: however the wall clock is set, time goes on, and no slower than it does', async () => {
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
        expect(steady.now() - beforeMs).toBeGreaterThanOrEqual(waitMs > 1000 ? waitMs - 1000 : 0);
      }
    }),
  );
});

test('without being set it is the wall clock', async () => {
  const clock = createManualClock();
  const steady = createSteadyClock(clock);
  for (const ms of [1, 1000, hourMs]) {
    await clock.advance(ms);
    expect(steady.now()).toBe(clock.now());
  }
  clock.shiftWallClock(hourMs);
  expect(steady.now()).toBe(clock.now());
});

test('[I7] a wall clock that is set back by a day neither opens a limit nor closes it', async () => {
  const clock = createManualClock();
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
  const limiter = await openLimiter({
    limits: fixedLimits([limit]),
    hot: hotSection.parse({}),
    clock,
    log: pino({ level: 'silent' }),
  });
  const ask = () =>
    limiter.admit({
      tenant: 'acme',
      subjects: [{ kind: 'key', id: 'key_1' }],
      amounts: () => ({ requests: 1 }),
    });
  await ask();
  await ask();
  clock.shiftWallClock(-24 * hourMs);
  await expect(ask()).rejects.toMatchObject({
    retryAfterMs: 30_000,
    headers: { ratelimit: '"minutely";r=0;t=60' },
  });
  await clock.advance(30_000);
  expect((await ask()).headers).toMatchObject({ ratelimit: '"minutely";r=0;t=60' });
  await limiter.close();
});
