import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve(import.meta.dirname, '../src/main.ts');
let deps: TestDeps;
beforeAll(async () => {
  deps = await createTestDeps();
});
afterAll(() => deps.close());

const strata = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir },
  });

test('`strata prices` shows what the catalog says of a model, with its tiers and where it comes from', () => {
  const { status, stdout, stderr } = strata('prices', 'openai/gpt-6-sol');
  expect(status).toBe(0);
  expect(stdout).toContain(
    'openai/gpt-6-sol  input 2, output 10, cache_read 0.2, cache_write 2.5; above 272000 input tokens: input 4, output 15, cache_read 0.4, cache_write 5\n',
  );
  expect(stderr).toMatch(/USD per million tokens, from npm \S+@\S+, \d{4}-\d{2}-\d{2}\/[0-9a-f]{12}\n$/);
});

test('`strata prices` shows what the admin API has set, with its version, before the snapshot', async () => {
  const { version } = await deps.priceStore.set({
    vendor: 'openai',
    model: 'gpt-6-sol',
    prices: { input: '1', output: '3', requests: '5000' },
  });
  expect(strata('prices', 'openai/gpt-6-sol').stdout).toContain(
    `openai/gpt-6-sol  input 1, output 3, requests 5000  (admin/${version})\n`,
  );
  await deps.priceStore.remove({ vendor: 'openai', model: 'gpt-6-sol' });
  expect(strata('prices', 'openai/gpt-6-sol').stdout).toContain('openai/gpt-6-sol  input 2, output 10');
});

test('`strata prices` says so when no model has the pattern, and what to do', () => {
  const { status, stdout, stderr } = strata('prices', 'gpt-unheard-of');
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toBe(
    "No model of the catalog has 'gpt-unheard-of' in its name. Set `prices` at its target.\n",
  );
});

test('`strata prices import` makes a catalog of a file in the format of LiteLLM', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'strata-prices-')), 'model_prices.json');
  const entry = { litellm_provider: 'openai', input_cost_per_token: 2e-6, output_cost_per_token: 8e-6 };
  writeFileSync(file, JSON.stringify({ 'gpt-x': entry }));
  const { status, stdout, stderr } = strata('prices', 'import', file);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ models: { 'openai/gpt-x': { input: '2', output: '8' } } });
  expect(stderr).toMatch(/^1 models, /);
});
