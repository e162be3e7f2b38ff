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
  spawnSync(process.execPath, [main, 'keys', ...args], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir },
  });

test('the life of a key: made, listed, rotated, disabled, deleted', async () => {
  const first = strata('create', '--name', 'ci', '--principal', 'bot', '--tenant', 'acme').stdout.trim();
  const listed = strata('list', '--tenant', 'acme').stdout;
  const [id = '', prefix = ''] = listed.split('\t');
  expect(listed).toBe(`${id}\t${first.slice(0, 16)}…\tacme\tbot\tci\tuser\tactive\n`);
  expect(first.startsWith(prefix.slice(0, -1))).toBe(true);

  const second = strata('rotate', id, '--grace-minutes', '0').stdout.trim();
  const caller = await deps.authenticate({ 'x-api-key': second });
  expect(caller).toMatchObject({ tenant: 'acme', principal: 'bot', keyId: id });
  await expect(deps.authenticate({ 'x-api-key': first })).rejects.toMatchObject({ reason: 'key_invalid' });

  strata('disable', id);
  expect(strata('list', '--tenant', 'acme').stdout).toMatch(/\tdisabled\n$/);
  strata('delete', id);
  expect(strata('list', '--tenant', 'acme').stdout).toBe('');
});

test.each([
  [['rotate', 'key_unknown'], "There is no key 'key_unknown'."],
  [['delete', 'key_unknown'], "There is no key 'key_unknown'."],
  [['create', '--name', '', '--principal', 'x'], 'name: '],
  [['create', '--name', 'x', '--principal', 'x', '--models', ''], 'scopes.models.0: '],
  [['rotate', 'key_x', '--grace-minutes', 'soon'], 'Expected a whole number'],
])('%j is refused, saying why', (args, message) => {
  const { status, stderr } = strata(...args);
  expect(status).not.toBe(0);
  expect(stderr).toContain(message);
});
