import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from '../testing/manual-clock.ts';
import { afterFailure, backoffMs } from './backoff.ts';
import { Breaker } from './breaker.ts';
import { AdaptiveConcurrency, type Leave } from './concurrency.ts';
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
  const last = new AbortController();
  const met = createDeadline({ clock, ms: 100, reason: 'attempt_timeout', parent: last.signal });
  met.lift();
  await clock.advance(1000);
  expect(met.signal.aborted).toBe(false);
  last.abort('client left');
  expect(met.signal.reason).toBe('client left');
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
      let probeAtMs = Number.NEGATIVE_INFINITY;
      for (const each of steps) {
        if (each === 'wait') await clock.advance(700);
        if (each === 'ask' && breaker.ask('k') === 'probe') {
          expect(clock.monotonic() - probeAtMs).toBeGreaterThanOrEqual(breakerOptions.openMs);
          probeAtMs = clock.monotonic();
        }
        if (each === 'fail' || each === 'succeed') {
          if (each === 'fail') breaker.failed('k');
          else breaker.succeeded('k');
          probeAtMs = Number.NEGATIVE_INFINITY;
        }
      }
    }),
  );
});

test('a probe that nobody reports on does not shut the circuit for ever', async () => {
  const clock = createManualClock();
  const breaker = new Breaker(breakerOptions, clock);
  for (let index = 0; index < 3; index++) breaker.failed('a');
  await clock.advance(1000);
  expect(breaker.ask('a')).toBe('probe');
  await clock.advance(999);
  expect(breaker.ask('a')).toEqual({ retryAfterMs: 1 });
  await clock.advance(1);
  expect(breaker.ask('a')).toBe('probe');
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
  await expect(gate.enter('batch', never)).rejects.toMatchObject({ reason: 'concurrency_queue_full' });
  first?.({ outcome: 'ok' });
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

test('a full queue takes the more urgent in place of the least urgent that came last', async () => {
  const gate = new AdaptiveConcurrency({ ...concurrencyOptions, maxLimit: 2 }, createManualClock());
  const held = [await gate.enter('batch', never), await gate.enter('batch', never)];
  const told: string[] = [];
  const waiting = (['batch', 'batch', 'agent'] as const).map((priority, index) =>
    gate.enter(priority, never).then(
      () => told.push(`${priority} ${index} entered`),
      (error: { reason: string }) => told.push(`${priority} ${index} ${error.reason}`),
    ),
  );
  await expect(gate.enter('batch', never)).rejects.toMatchObject({ reason: 'concurrency_queue_full' });
  const urgent = gate.enter('interactive', never);
  await waiting[1];
  expect(told).toEqual(['batch 1 concurrency_queue_full']);
  for (const leave of held) leave({ outcome: 'ignored' });
  await Promise.all([urgent, waiting[2]]);
  expect(told).toContain('agent 2 entered');
});

test('the limit grows while answers are quick, and falls when they queue or are refused', async () => {
  const clock = createManualClock();
  const gate = new AdaptiveConcurrency({ ...concurrencyOptions, maxQueue: 1000 }, clock);
  const round = async (tookMs: number, outcome: 'ok' | 'overloaded' = 'ok') => {
    const releases = await Promise.all(Array.from({ length: gate.limit }, () => gate.enter('agent', never)));
    await clock.advance(tookMs);
    for (const release of releases) release({ outcome });
  };
  for (let index = 0; index < 5; index++) await round(10);
  const grown = gate.limit;
  expect(grown).toBeGreaterThan(10);
  for (let index = 0; index < 5; index++) await round(100);
  expect(gate.limit).toBeLessThan(grown);
  const before = gate.limit;
  await round(10, 'overloaded');
  expect(gate.limit).toBeLessThan(before);
  expect(gate.inFlight).toBe(0);
});

test('a far end that has become slower for good is measured anew, and the limit stays up', async () => {
  const clock = createManualClock();
  const gate = new AdaptiveConcurrency({ ...concurrencyOptions, initialLimit: 20 }, clock);
  const round = async (tookMs: number) => {
    const releases = await Promise.all(Array.from({ length: gate.limit }, () => gate.enter('agent', never)));
    await clock.advance(tookMs);
    for (const release of releases) release({ outcome: 'ok' });
  };
  await round(10);
  for (let index = 0; index < 100; index++) await round(100);
  expect(gate.limit).toBeGreaterThan(20);
});

test('[I9] whatever happens, no more are let in than the limit allows, and the limit keeps its bounds', async () => {
  const step = fc.constantFrom('enter', 'ok', 'overloaded', 'leave', 'wait');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async steps => {
      const clock = createManualClock();
      const gate = new AdaptiveConcurrency({ ...concurrencyOptions, maxLimit: 5 }, clock);
      const inside: Leave[] = [];
      const outside: AbortController[] = [];
      for (const each of steps) {
        if (each === 'enter') {
          const controller = new AbortController();
          outside.push(controller);
          const before = gate.inFlight;
          gate.enter('agent', controller.signal).then(
            release => inside.push(release),
            () => {},
          );
          if (gate.inFlight > before) expect(gate.inFlight).toBeLessThanOrEqual(gate.limit);
        }
        if (each === 'ok' || each === 'overloaded') inside.shift()?.({ outcome: each });
        if (each === 'leave') outside.pop()?.abort(new Error('left'));
        if (each === 'wait') await clock.advance(600);
        await Promise.resolve();
        expect(gate.limit).toBeGreaterThanOrEqual(1);
        expect(gate.limit).toBeLessThanOrEqual(5);
        expect(gate.inFlight).toBeLessThanOrEqual(5);
      }
      await clock.advance(2000);
      while (inside.length > 0) {
        inside.shift()?.({ outcome: 'ok' });
        await clock.advance(0);
      }
      expect([gate.inFlight, clock.pending]).toEqual([0, 0]);
    }),
    { numRuns: 50 },
  );
});
