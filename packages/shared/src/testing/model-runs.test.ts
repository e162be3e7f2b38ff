import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { modelSizes } from './model-runs.ts';

const root = resolve(import.meta.dirname, '../..');
const ownName = 'model-runs.test.ts';
const tests = ['src', 'test']
  .flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)),
  )
  .filter(name => name.endsWith('.test.ts') && !name.endsWith(ownName))
  .map(name => readFileSync(join(root, name), 'utf8'));

const all = Object.entries(modelSizes).flatMap(([model, stores]) =>
  Object.entries(stores).map(([store, { ci }]) => ({ model, store, ci })),
);

test('the models of ledger, budgets, limits and envelopes are run at least 100,000 times for every change', () => {
  const sum = all.reduce((total, { ci }) => total + ci, 0);
  process.stdout.write(`models: ${sum} runs in CI\n`);
  expect(sum).toBeGreaterThanOrEqual(100_000);
});

test.each(all)('the model of $model on $store is run, by one test', ({ model, store }) => {
  const call = `modelRuns('${model}', '${store}')`;
  expect(tests.filter(text => text.includes(call))).toHaveLength(1);
});
