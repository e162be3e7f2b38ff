import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from '../testing/manual-clock.ts';
import { afterFailure, backoffMs } from './backoff.ts';
import { Breaker } from './breaker.ts';
import { AdaptiveConcurrency } from './concurrency.ts';
import { createDeadline } from './deadline.ts';
import { RetryBudget } from './retry-budget.ts';

const never = new AbortController().signal;

test('waits double up to the cap and spread over the whole range', () => {
  const bounds = [1, 2, 3, 20, 1000].map(retry => backoffMs(retry, afterFailure, () => 1));
  expect(bounds).toEqual([100, 200, 400, 20_000, 20_000]);
  expect(backoffMs(5, afterFailure, () => 0)).toBe(0);
});

test('a deadline ends the work with a timeout, a parent with its own reason, and closing leaves nothing behind', async () => {
  const clock = createManualClock();
  const own = createDeadline({ clock, ms: 100, reason: 'attempt_timeout' });
  await clock.advance(99);
  expect([own.signal.aborted, own.remainingMs()]).toEqual([false, 1]);
  await clock.advance(1);
  expect(own.signal.reason).toMatchObject({ kind: 'timeout', reason: 'attempt_timeout' });
  const parent = new AbortController();
  const child = createDeadline({ clock, ms: 100, reason: 'attempt_timeout', parent: parent.signal });
  parent.abort('client left');
  expect(child.signal.reason).toBe('client left');
  const closed = createDeadline({ clock, ms: 100, reason: 'attempt_timeout' });
  closed.close();
  await clock.advance(1000);
  expect(closed.signal.aborted).toBe(false);
});

const breakerOptions = { failures: 3, openMs: 1000, maxOpenMs: 4000 };

test('a breaker opens after failures in a row, lets one probe through, and stays open longer when the probe fails', async () => {
  const clock = createManualClock();
  const breaker = new Breaker(breakerOptions, clock);
  for (let index = 0; index < 2; index++) breaker.failed('a');
  breaker.succeeded('a');
  for (let index = 0; index < 2; index++) breaker.failed('a');
  expect(breaker.ask('a')).toBe('pass');
  breaker.failed('a');
  expect(breaker.ask('a')).toEqual({ retryAfterMs: 1000 });
  expect(breaker.ask('b')).toBe('pass');
  await clock.advance(1000);
  expect(breaker.ask('a')).toBe('probe');
  expect(breaker.ask('a')).toEqual({ retryAfterMs: 1000 });
  breaker.failed('a');
  expect(breaker.ask('a')).toEqual({ retryAfterMs: 2000 });
  await clock.advance(2000);
  expect(breaker.ask('a')).toBe('probe');
  breaker.abandoned('a');
  expect(breaker.ask('a')).toBe('probe');
  breaker.succeeded('a');
  expect(breaker.ask('a')).toBe('pass');
});

test('[F36] whatever happens, an open breaker lets at most one through at a time', () => {
  const step = fc.constantFrom('ask', 'fail', 'succeed', 'wait');
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 100 }), async steps => {
      const clock = createManualClock();
      const breaker = new Breaker(breakerOptions, clock);
      let probes = 0;
      for (const each of steps) {
        if (each === 'wait') await clock.advance(700);
        if (each === 'ask' && breaker.ask('k') === 'probe') {
          probes++;
          expect(probes).toBe(1);
        }
        if (each === 'fail' || each === 'succeed') {
          if (each === 'fail') breaker.failed('k');
          else breaker.succeeded('k');
          probes = 0;
        }
      }
    }),
  );
});

test('[I9] retries in flight never exceed three or a fifth of what is active', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('begin', 'end', 'retry', 'done'), { maxLength: 300 }), steps => {
      const budget = new RetryBudget();
      const active: (() => void)[] = [];
      const retries: (() => void)[] = [];
      for (const step of steps) {
        if (step === 'begin') active.push(budget.begin());
        if (step === 'end') active.pop()?.();
        if (step === 'done') retries.pop()?.();
        if (step === 'retry') {
          const release = budget.tryRetry();
          if (release !== undefined) retries.push(release);
          if (release !== undefined)
            expect(retries.length).toBeLessThanOrEqual(Math.max(3, Math.ceil(active.length * 0.2)));
        }
        expect(budget.retrying).toBe(retries.length);
      }
    }),
  );
});

const concurrencyOptions = { initialLimit: 2, minLimit: 1, maxLimit: 100, maxQueue: 3, maxWaitMs: 1000 };

test('places are given by priority, waits end, the queue is bounded', async () => {
  const clock = createManualClock();
  const gate = new AdaptiveConcurrency({ ...concurrencyOptions, maxLimit: 2 }, clock);
  const [first] = [await gate.enter('batch', never), await gate.enter('batch', never)];
  const entered: string[] = [];
  const waiting = (['batch', 'agent', 'interactive'] as const).map(priority =>
    gate.enter(priority, never).then(
      release => {
        entered.push(priority);
        return release;
      },
      (error: { reason: string }) => entered.push(`${priority}: ${error.reason}`),
    ),
  );
  await expect(gate.enter('interactive', never)).rejects.toMatchObject({ reason: 'concurrency_queue_full' });
  first?.('ok');
  await waiting[2];
  expect(entered).toEqual(['interactive']);
  await clock.advance(1000);
  await Promise.all(waiting);
  expect(entered).toEqual([
    'interactive',
    'batch: concurrency_wait_too_long',
    'agent: concurrency_wait_too_long',
  ]);
});

test('the limit grows while answers are quick, and falls when they queue or are refused', async () => {
  const clock = createManualClock();
  const gate = new AdaptiveConcurrency({ ...concurrencyOptions, maxQueue: 1000 }, clock);
  const round = async (tookMs: number, outcome: 'ok' | 'overloaded' = 'ok') => {
    const releases = await Promise.all(Array.from({ length: gate.limit }, () => gate.enter('agent', never)));
    await clock.advance(tookMs);
    for (const release of releases) release(outcome);
  };
  for (let index = 0; index < 5; index++) await round(10);
  const grown = gate.limit;
  expect(grown).toBeGreaterThan(10);
  for (let index = 0; index < 5; index++) await round(40);
  expect(gate.limit).toBeLessThan(grown);
  const before = gate.limit;
  await round(10, 'overloaded');
  expect(gate.limit).toBeLessThan(before);
  expect(gate.inFlight).toBe(0);
});
