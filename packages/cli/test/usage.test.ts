import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve(import.meta.dirname, '../src/main.ts');
let deps: TestDeps;

const strata = (...args: string[]) =>
  spawnSync(process.execPath, [main, 'usage', ...args], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir },
  });

beforeAll(async () => {
  deps = await createTestDeps();
  const common = {
    atMs: Date.now() - 1000,
    durationMs: 5,
    gateway: 'ai-gateway',
    keyId: undefined,
    runId: undefined,
    taskId: undefined,
    alias: 'chat',
    provider: 'main',
    outcome: 'answered',
    usageSource: 'reported',
    priceVersion: 'test',
  } as const;
  const usage = { input: 10, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 2, reasoning: 0 };
  const add = (id: string, tenant: string, principal: string, model: string, costNanoUsd?: bigint) =>
    deps.ledger.record({ ...common, id, tenant, principal, model, usage, costNanoUsd });
  add('1', 'acme', 'user:ada', 'small', 1_500_000_000n);
  add('2', 'acme', 'user:ada', 'small', 1n);
  add('3', 'acme', '=cmd("x")', 'odd', undefined);
  add('4', 'other', 'user:bob', 'small', 9n);
  await deps.ledger.flush();
});
afterAll(() => deps.close());

test('`strata usage` gives exact costs by model, and says what has none', () => {
  const { status, stdout } = strata('--tenant', 'acme');
  expect(status).toBe(0);
  expect(stdout).toBe(
    'model,attempts,input_tokens,output_tokens,media_tokens,tool_units,cost_usd,attempts_without_cost\nsmall,2,20,4,0,0,1.500000001,0\nodd,1,10,2,0,0,0.000000000,1\n',
  );
});

test('a name that a spreadsheet would run is text', () => {
  expect(strata('--by', 'principal').stdout).toContain(`"'=cmd(""x"")",1,`);
});

test.each([
  [['--by', 'colour'], 'Known: tenant, team, project, principal'],
  [['--days', '0'], 'Expected a whole number'],
])('%j is refused with what is expected', (args, message) => {
  const { status, stderr } = strata(...args);
  expect(status).not.toBe(0);
  expect(stderr).toContain(message);
});
