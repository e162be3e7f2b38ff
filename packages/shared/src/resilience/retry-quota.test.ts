import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultRetryQuota, RetryQuota } from './retry-quota.ts';

test('[I9] [T18] a far end that only fails gets so many retries and no more; other keys keep theirs', () => {
  const quota = new RetryQuota();
  let retries = 0;
  while (quota.tryRetry('down', 'failure') !== undefined) retries++;
  expect(retries).toBe(100);
  expect(quota.tryRetry('up', 'throttle')).toBe(10);
  for (let index = 0; index < 5; index++) quota.succeeded('down');
  expect([quota.tryRetry('down', 'throttle'), quota.tryRetry('down', 'failure')]).toEqual([undefined, 5]);
});

test('a retry that succeeds gives back what it took', () => {
  const quota = new RetryQuota();
  const cost = quota.tryRetry('a', 'throttle');
  quota.succeeded('a', cost);
  expect(quota.left('a')).toBe(defaultRetryQuota.capacity);
});

test('the quota stays between nothing and its capacity, whatever happens', () => {
  const step = fc.constantFrom('failure', 'throttle', 'success', 'retry-success');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500 }), fc.integer({ min: 10, max: 60 }), (steps, capacity) => {
      const quota = new RetryQuota({ ...defaultRetryQuota, capacity });
      const costs: number[] = [];
      for (const each of steps) {
        if (each === 'success') quota.succeeded('k');
        else if (each === 'retry-success') quota.succeeded('k', costs.pop());
        else {
          const before = quota.left('k');
          const cost = quota.tryRetry('k', each);
          if (cost === undefined) expect(before).toBeLessThan(each === 'failure' ? 5 : 10);
          else costs.push(cost);
        }
        expect(quota.left('k')).toBeGreaterThanOrEqual(0);
        expect(quota.left('k')).toBeLessThanOrEqual(capacity);
      }
    }),
  );
});

test('keys are bounded', () => {
  const quota = new RetryQuota();
  for (let index = 0; index < 10_001; index++) quota.tryRetry(`k${index}`, 'failure');
  expect([quota.left('k0'), quota.left('k1'), quota.left('k10000')]).toEqual([500, 495, 495]);
});
