import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve(import.meta.dirname, '../src/main.ts');
let deps: TestDeps;
beforeAll(async () => {
  deps = await createTestDeps();
  await deps.createKey({ tenant: 'changes' });
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
  const none = strata('budgets', '--tenant', 'changes');
  expect([none.status, none.stdout, none.stderr]).toEqual([0, '', "There is no budget of 'changes'.\n"]);
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

test('nothing is set for an organisation that nobody has', () => {
  const budget = ['budgets', 'create', '--subject', 'team:support', '--limit', '5'];
  const limit = ['limits', 'set', 'x', '--subject', 'key:*', '--unit', 'requests', '--amount', '5'];
  for (const command of [budget, limit]) {
    const { status, stderr } = strata(...command, '--tenant', 'acne');
    expect([status, stderr]).toEqual([1, "There is no organisation 'acne'.\n"]);
  }
});

const auditedChanges = async () => {
  const lines = strata('audit', 'export', '--tenant', 'changes').stdout.trim().split('\n');
  return lines.map(text => {
    const { action, target, details } = JSON.parse(text).record;
    return { action, target, details };
  });
};

test('[I18] a limit is set, set anew and taken back by `strata limits`, and each is one entry of the audit log', async () => {
  const of = (...args: string[]) => strata('limits', ...args);
  const set = (...args: string[]) =>
    of(
      'set',
      'searches',
      '--tenant',
      'changes',
      '--subject',
      'tool:search*',
      '--unit',
      'tool_calls',
      ...args,
    );
  const made = set('--amount', '100', '--per', 'hour').stdout;
  const [id = ''] = made.split('\t');
  expect(made).toBe(`${id}\tchanges\tsearches\ttool:search*\ttool_calls\t100\t3600\n`);
  expect(set('--amount', '7').stdout).toBe(made.replace('100\t3600', '7\t60'));
  expect(of('--tenant', 'changes').stdout).toBe(made.replace('100\t3600', '7\t60'));
  expect(await deps.limitRules.find(id)).toMatchObject({ amount: 7, windowMs: 60_000, isEach: true });
  const other = set('--amount', '5', '--shared');
  expect([other.status, other.stderr]).toEqual([
    1,
    `The limit 'searches' (${id}) counts tool_calls of tool:search*. Delete it first, or choose another name.\n`,
  ]);
  expect(of('delete', id).stderr).toBe(`Limit ${id} is gone.\n`);
  expect(of('--tenant', 'changes').stdout).toBe('');
  expect(of('delete', id).stderr).toBe('There is no such limit.\n');
  expect(of('delete', 'config:house').stderr).toContain('Change it there.');
  const entries = (await auditedChanges()).filter(entry => entry.target.id === id);
  expect(entries.map(entry => [entry.action, entry.details.amount, entry.details.per])).toEqual([
    ['limit.create', 100, 'hour'],
    ['limit.change', 7, 'minute'],
    ['limit.delete', 7, 'minute'],
  ]);
});

test('[I18] a budget is made, changed and removed by `strata budgets`, and each is one entry of the audit log', async () => {
  const of = (...args: string[]) => strata('budgets', ...args);
  const made = of(
    ...['create', '--tenant', 'changes', '--subject', 'team:support', '--limit', '500'],
    ...['--time-zone', 'Europe/Berlin'],
  ).stdout;
  const [id = ''] = made.split('\t');
  expect(made).toBe(
    `${id}\tchanges\tteam:support\tmonth\thard\t500.000000000\t0.000000000\t0.000000000\t0.000000000\n`,
  );
  expect(await deps.budgetStore.find(id)).toMatchObject({
    window: { type: 'month', timeZone: 'Europe/Berlin' },
  });
  const changed = of('change', id, '--limit', '0.25', '--mode', 'soft').stdout;
  expect(changed).toContain(`${id}\tchanges\tteam:support\tmonth\tsoft\t0.250000000\t`);
  expect(of('--tenant', 'changes').stdout).toBe(changed);
  expect(of('delete', id).stderr).toBe(`Budget ${id} is gone.\n`);
  expect(of('--tenant', 'changes').stdout).toBe('');
  expect(of('change', 'config:house', '--limit', '1').stderr).toContain('Change it there.');
  const entries = (await auditedChanges()).filter(entry => entry.target.id === id);
  expect(entries.map(entry => [entry.action, entry.details.limit_usd])).toEqual([
    ['budget.create', '500.000000000'],
    ['budget.change', '0.250000000'],
    ['budget.delete', '0.250000000'],
  ]);
});

test('[$-1] what a process that is gone had spent is said by `strata budgets reconcile`', async () => {
  const budgets = (...args: string[]) => strata('budgets', ...args);
  const create = ['create', '--tenant', 'changes', '--subject', 'team:gone', '--limit', '10'];
  const [id = ''] = budgets(...create, '--window', 'total').stdout.split('\t');
  const draw = { budgetId: id, grantId: 'gone', atMs: Date.now(), need: 4n, want: 4n };
  await deps.budgetStore.draw({ owner: 'gone', leaseUntilMs: Date.now(), draws: [draw] });
  await deps.budgetStore.leave('gone');
  const reconcile = (of: string, lost: string, spent: string) =>
    budgets('reconcile', of, '--lost', lost, '--spent', spent);
  expect(reconcile(id, '0.000000003', '0').stderr).toContain('hold 0.000000004 USD');
  expect(reconcile(id, '0.000000004', '1').stderr).toContain('no more than that');
  expect(reconcile(id, '0.000000004', '0.000000001').stdout).toContain(
    '\t10.000000000\t0.000000001\t0.000000000\t0.000000000\n',
  );
  expect(reconcile('bud_unknown', '0', '0').stderr).toBe("There is no budget 'bud_unknown'.\n");
});

test.each([
  [
    ['limits', 'set', 'x', '--subject', 'nobody', '--unit', 'requests', '--amount', '1'],
    'expected a subject',
  ],
  [['limits', 'set', 'x', '--subject', 'key:*', '--unit', 'miles', '--amount', '1'], 'unit: Invalid option'],
  [
    ['limits', 'set', 'x', '--subject', 'key:*', '--unit', 'requests', '--amount', 'some'],
    'amount: Invalid input',
  ],
  [['budgets', 'create', '--subject', 'team:a', '--limit', 'much'], 'limit_usd: expected an amount'],
  [
    ['budgets', 'create', '--subject', 'team:a', '--limit', '1', '--time-zone', 'Mars'],
    'expected a time zone',
  ],
  [['budgets', 'create', '--subject', 'team:a', '--limit', '1', '--window', 'rolling'], 'window.hours'],
  [['budgets', 'change', 'bud_1'], 'Say what to change'],
])('%j is refused, saying why', (args, message) => {
  const { status, stderr } = strata(...args);
  expect(status).not.toBe(0);
  expect(stderr).toContain(message);
});
