import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
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

test('`strata tree` shows who belongs where', async () => {
  await deps.createKey({ tenant: 'acme', team: 'support', project: 'desk', principal: 'ada' });
  await deps.createKey({ tenant: 'acme', team: 'support', project: 'desk', principal: 'bob' });
  await deps.tree.change({ tenant: 'acme', kind: 'principal', id: 'bob' }, { isDisabled: true });
  expect(strata('tree', '--tenant', 'acme').stdout).toBe(
    'organisation acme\n  team support\n    project desk\n      principal ada\n      principal bob (disabled)\n',
  );
  expect(strata('tree').stdout).toContain('organisation default\n');
  const unknown = strata('tree', '--tenant', 'nobody');
  expect([unknown.status, unknown.stderr]).toEqual([1, "There is no organisation 'nobody'.\n"]);
});

test('`strata budgets` shows limits and what is spent', async () => {
  await deps.budgetStore.create({
    id: 'bud_1',
    tenant: 'acme',
    subject: { kind: 'team', id: 'support' },
    limitNanoUsd: 2_500_000_000n,
    window: { type: 'total' },
    mode: 'soft',
  });
  await deps.budgetStore.charge([{ budgetId: 'bud_1', grantId: undefined, period: 0, nanoUsd: 1n }]);
  expect(strata('budgets', '--tenant', 'acme').stdout).toBe(
    'bud_1\tacme\tteam:support\ttotal\tsoft\t2.500000000\t0.000000001\t0.000000000\t0.000000000\n',
  );
  expect(strata('budgets', '--tenant', 'other').stdout).toBe('');
});

test('`strata limits` shows those of the configuration and those that were set', async () => {
  const of = (more: object) => ({
    tenant: 'acme',
    subject: { kind: 'key', id: '*' } as const,
    isEach: true,
    windowMs: 60_000,
    amount: 5,
    ...more,
  });
  await deps.limitRules.create({ ...of({}), id: 'lim_1', name: 'calls', unit: 'requests' });
  await deps.limitRules.create({ ...of({}), id: 'lim_2', name: 'room', unit: 'concurrency' });
  const configured = JSON.stringify([
    { name: 'house', tenant: 'acme', subject: 'team:support', unit: 'tool_calls', amount: 7, per: 'hour' },
  ]);
  const { stdout } = spawnSync(process.execPath, [main, 'limits', '--tenant', 'acme'], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir, STRATA_LIMITS: configured },
  });
  expect(stdout).toBe(
    'config:house\tacme\thouse\tteam:support\ttool_calls\t7\t3600\nlim_1\tacme\tcalls\tkey:*\trequests\t5\t60\nlim_2\tacme\troom\tkey:*\tconcurrency\t5\t\n',
  );
});
