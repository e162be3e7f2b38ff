import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve(import.meta.dirname, '../src/main.ts');
let deps: TestDeps;
beforeAll(async () => {
  deps = await createTestDeps();
  await deps.createKey({ tenant: 'acme' });
  deps.audit.record({
    tenant: 'the installation',
    category: 'admin',
    action: 'price.change',
    outcome: 'succeeded',
  });
  await deps.audit.flush();
});
afterAll(() => deps.close());

function strata(args: readonly string[], dataDir = deps.dataDir) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    cwd: dataDir,
    env: { ...process.env, STRATA_DATA_DIR: dataDir },
  });
  return { status, stdout, stderr };
}

const usageHead =
  'model,attempts,input_tokens,output_tokens,media_tokens,tool_units,cost_usd,attempts_without_cost\n';

test.each([
  [['keys', 'list'], 'organisation'],
  [['budgets'], 'organisation'],
  [['limits'], 'organisation'],
  [['usage'], 'organisation'],
  [['tree'], 'organisation'],
  [['audit', 'verify'], 'log'],
  [['audit', 'export'], 'log'],
])('%j of an organisation whose name was mistyped ends with 1 and says why', (command, what) => {
  const { status, stdout, stderr } = strata([...command, '--tenant', 'acne']);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(
    what === 'log' ? "There is no log of 'acne'.\n" : "There is no organisation 'acne'.\n",
  );
});

test('what is there and has nothing ends with 0, and says so beside the empty list', () => {
  expect(strata(['budgets', '--tenant', 'acme'])).toEqual({
    status: 0,
    stdout: '',
    stderr: "There is no budget of 'acme'.\n",
  });
  expect(strata(['limits', '--tenant', 'acme']).stderr).toBe("There is no limit of 'acme'.\n");
  expect(strata(['limits']).stderr).toBe('There is no limit.\n');
  expect(strata(['usage', '--tenant', 'acme', '--where', 'team=suport'])).toEqual({
    status: 0,
    stdout: usageHead,
    stderr: "There is no usage that fits of 'acme'.\n",
  });
});

test('a span without entries is told of whom it is, also of the installation itself', () => {
  const tenant = 'the installation';
  expect(strata(['audit', 'export', '--tenant', tenant, '--from', '2999-01-01'])).toEqual({
    status: 0,
    stdout: '',
    stderr: "There is no entry of 'the installation'.\n",
  });
});

test('an installation without a log is not told to be intact', () => {
  const fresh = mkdtempSync(join(tmpdir(), 'strata-fresh-'));
  expect(strata(['keys', 'list'], fresh)).toEqual({ status: 0, stdout: '', stderr: 'There is no key.\n' });
  expect(strata(['audit', 'verify'], fresh)).toEqual({
    status: 1,
    stdout: '',
    stderr: 'There is no log: nothing was entered, or all of it is gone.\n',
  });
});
