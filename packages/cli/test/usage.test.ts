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
  const october = { ...common, tenant: 'acme', principal: 'user:eve', usage, costNanoUsd: 10n };
  const spend = (id: string, at: string, team: string, model: string) =>
    deps.ledger.record({ ...october, id, atMs: Date.parse(at), team, model });
  spend('5', '2024-10-01T00:00:00Z', 'support', 'claude-sonnet-5');
  spend('6', '2024-10-31T22:59:59Z', 'support', 'claude-haiku-5');
  spend('7', '2024-10-31T23:30:00Z', 'support', 'claude-haiku-5'); // November in Berlin
  spend('8', '2024-10-15T00:00:00Z', 'support', 'gpt-5-mini');
  spend('9', '2024-10-15T00:00:00Z', 'sales', 'claude-haiku-5');
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

const costsOf = (csv: string) =>
  csv
    .trim()
    .split('\n')
    .slice(1)
    .map(line => {
      const fields = line.split(',');
      return [fields[0], fields[1], fields[6]];
    });

test('what did the support team spend on Claude in a month? One command answers, by the calendar of the place', () => {
  const ask = (...more: string[]) => {
    const filters = ['--where', 'team=support', '--where', 'model=claude*'];
    return costsOf(strata('--tenant', 'acme', '--by', 'team', ...filters, ...more).stdout);
  };
  expect(ask('--month', '2024-10')).toEqual([['support', '3', '0.000000030']]);
  expect(ask('--month', '2024-10', '--time-zone', 'Europe/Berlin')).toEqual([
    ['support', '2', '0.000000020'],
  ]);
  expect(ask('--from', '2024-10-31', '--to', '2024-11-01')).toEqual([['support', '2', '0.000000020']]);
  expect(ask('--month', 'last')).toEqual([]);
});

test('a name that a spreadsheet would run is text', () => {
  expect(strata('--by', 'principal').stdout).toContain(`"'=cmd(""x"")",1,`);
});

test.each([
  [['--by', 'colour'], 'Known: tenant, team, project, principal'],
  [['--days', '0'], 'Expected a whole number'],
  [['--month', 'next'], "Expected '2026-10', 'this' or 'last'."],
  [['--month', 'last', '--days', '3'], 'cannot be used with'],
  [['--time-zone', 'Mars'], 'Expected a time zone'],
  [['--where', 'colour=red'], 'Expected each of team, project'],
  [['--where', 'team=a', '--where', 'team=b'], 'at most once'],
])('%j is refused with what is expected', (args, message) => {
  const { status, stderr } = strata(...args);
  expect(status).not.toBe(0);
  expect(stderr).toContain(message);
});
