import { expect, test } from 'vitest';
import { HedgeBudget } from './hedge-budget.ts';

function hedges(budget: HedgeBudget, requests: number, share: number): number {
  let granted = 0;
  for (let request = 0; request < requests; request++) {
    budget.asked('a', share);
    if (budget.tryHedge('a')) granted++;
  }
  return granted;
}

test.each([
  [0.05, 1000, 51],
  [0.1, 1000, 101],
  [0, 1000, 1],
  [1, 100, 100],
])('a share of %f of %i requests may be asked twice, and one at the start', (share, requests, most) => {
  expect(hedges(new HedgeBudget(), requests, share)).toBe(most);
});

test('what was not used is kept for ten at most, and each key has its own', () => {
  const budget = new HedgeBudget();
  for (let request = 0; request < 10_000; request++) budget.asked('a', 0.5);
  let granted = 0;
  while (budget.tryHedge('a')) granted++;
  expect(granted).toBe(10);
  expect(budget.tryHedge('b')).toBe(false);
});
