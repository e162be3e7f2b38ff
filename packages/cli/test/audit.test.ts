import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { writeCheckpoint } from '@strata/shared/audit/checkpoints.ts';
import { canonicalJson } from '@strata/shared/json/canonical-json.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';

const main = resolve(import.meta.dirname, '../src/main.ts');
let deps: TestDeps;

const strata = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir },
  });

beforeAll(async () => {
  deps = await createTestDeps();
  for (let count = 0; count < 5; count++)
    deps.audit.record({
      tenant: 'acme',
      category: 'tool_call',
      action: 'tool.call',
      outcome: 'succeeded',
      principal: 'user:ada',
      sensitive: { address: '203.0.113.9' },
    });
  await deps.audit.flush();
  await writeCheckpoint({ db: deps.sql.db, keys: deps.envelopeKeys, clock: deps.clock }, 'acme');
});
afterAll(() => deps.close());

test('an export is redacted and its chain can be checked with nothing but SHA-256', () => {
  const lines = strata('audit', 'export', '--tenant', 'acme')
    .stdout.trim()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(lines).toHaveLength(5);
  expect(JSON.stringify(lines)).not.toContain('203.0.113.9');
  let previous = '0'.repeat(64);
  for (const { record, hash: stated } of lines) {
    expect(record.previous).toBe(previous);
    previous = hash('sha256', canonicalJson(record));
    expect(stated).toBe(previous);
  }
  expect(strata('audit', 'export', '--tenant', 'acme', '--values').stdout).toContain('203.0.113.9');
});

test('[S22] an export verifies, redacted or not, whole or in part; what somebody does to it is named', () => {
  const lines = strata('audit', 'export', '--tenant', 'acme').stdout.trim().split('\n');
  const full = strata('audit', 'export', '--tenant', 'acme', '--values').stdout.trim().split('\n');
  const checked = (some: readonly (string | undefined)[]) => {
    writeFileSync(join(deps.dataDir, 'export.jsonl'), `${some.join('\n')}\n`);
    const { status, stdout, stderr } = strata('audit', 'verify', '--file', 'export.jsonl');
    return [status, ...`${stdout}${stderr}`.trim().split(/\n */)];
  };
  const isIntact = (count: number) => [0, `acme: intact, ${count} entries, 0 checkpoints`];
  expect(checked(lines)).toEqual(isIntact(5));
  expect(checked(full)).toEqual(isIntact(5));
  expect(checked(lines.slice(1, 4))).toEqual(isIntact(3));
  const [one, two = '', three, four, five] = lines;
  const isNot = (count: number, ...findings: string[]) => [
    1,
    `acme: NOT INTACT, ${count} entries, 0 checkpoints`,
    ...findings,
  ];
  expect(checked([one, two.replace('user:ada', 'user:eve'), three, four, five])).toEqual(
    isNot(5, 'entry 2 changed'),
  );
  expect(checked([one, two, four, five])).toEqual(isNot(4, 'entry 3 removed'));
  expect(checked([one, two, two, three, four, five])).toEqual(isNot(5, 'entry 2 inserted, never entered'));
  const other = full.map((line, index) => (index === 3 ? line.replace('203.0.113.9', '203.0.113.8') : line));
  expect(checked(other)).toEqual(isNot(5, "entry 4: the value 'address' kept beside it changed"));
  expect(checked(['{"seq":1,"record":{"at_ms":"x"},"hash":"","seal":""}', two])[0]).toBe(1);
  expect(checked([''])).toEqual([1, 'The file holds no entry.']);
  expect(checked([one, 'root:x:0:0'])).toEqual([1, 'Line 2 is no entry of an export.']);
  expect(checked([one, '{"seq":2}'])).toEqual([1, 'Line 2 is no entry of an export.']);
});

test('what the command changes is entered too', () => {
  strata('keys', 'create', '--name', 'ci', '--principal', 'bot', '--tenant', 'by-hand');
  const [id = ''] = strata('keys', 'list', '--tenant', 'by-hand').stdout.split('\t');
  strata('keys', 'rotate', id);
  strata('keys', 'disable', id);
  strata('keys', 'delete', id);
  const records = strata('audit', 'export', '--tenant', 'by-hand')
    .stdout.trim()
    .split('\n')
    .map(line => JSON.parse(line).record);
  expect(records.map(record => [record.action, record.gateway, record.target.id])).toEqual(
    ['key.create', 'key.rotate', 'key.disable', 'key.delete'].map(action => [action, 'strata', id]),
  );
});

test('a retired signing key is listed so and entered; what it signed before stays good', () => {
  const [id = '', gateway] = strata('signing-keys').stdout.split('\t');
  expect(gateway).toBe('ai-gateway');
  expect(strata('signing-keys', 'retire', id).status).toBe(0);
  expect(strata('signing-keys').stdout).toMatch(/\tretired 20[^\t]+Z\n$/);
  const again = strata('signing-keys', 'retire', id);
  expect([again.status, again.stderr]).toEqual([1, `There is no signing key '${id}' in use.\n`]);
  const entries = strata('audit', 'export', '--tenant', 'the installation').stdout;
  expect(entries).toContain(`"target":{"id":"${id}","type":"signing_key"}`);
  expect(strata('audit', 'verify', '--tenant', 'acme').stdout).toBe(
    'acme: intact, 5 entries, 1 checkpoints\n',
  );
});

test('a chain is intact until somebody changes it; then the entry is named and the command fails', async () => {
  const intact = strata('audit', 'verify', '--tenant', 'acme', '--from', '2020-01-01');
  expect(intact.stdout).toMatch(/^acme: intact, 5 entries, \d+ checkpoints\n$/);
  expect(intact.status).toBe(0);
  const { token } = await deps.sql.db
    .selectFrom('audit_checkpoints')
    .select('token')
    .where('tenant', '=', 'acme')
    .executeTakeFirstOrThrow();
  writeFileSync(join(deps.dataDir, 'kept.txt'), `${token}\n`);
  expect(strata('audit', 'verify', '--checkpoints', 'kept.txt').status).toBe(0);

  const database = new DatabaseSync(join(deps.dataDir, 'strata.sqlite'));
  database.exec('drop trigger audit_entries_refuses_update');
  database.exec("update audit_entries set principal = 'user:eve' where tenant = 'acme' and seq = 3");
  database.close();
  const changed = strata('audit', 'verify');
  expect(changed.stdout).toMatch(/^acme: NOT INTACT, 5 entries, \d+ checkpoints\n {2}entry 3 changed\n/);
  expect(changed.status).toBe(1);
});

test('[S22] an organisation of which nothing is left is missed by a checkpoint that was kept', async () => {
  deps.audit.record({ tenant: 'gone', category: 'tool_call', action: 'tool.call', outcome: 'succeeded' });
  await deps.audit.flush();
  const checkpoint = await writeCheckpoint(
    { db: deps.sql.db, keys: deps.envelopeKeys, clock: deps.clock },
    'gone',
  );
  writeFileSync(join(deps.dataDir, 'gone.txt'), `${checkpoint?.token}\n`);
  const database = new DatabaseSync(join(deps.dataDir, 'strata.sqlite'));
  database.exec('drop trigger audit_entries_refuses_delete; drop trigger audit_checkpoints_refuses_delete');
  for (const table of ['audit_entries', 'audit_checkpoints', 'audit_heads'])
    database.exec(`delete from ${table} where tenant = 'gone'`);
  database.close();
  const { status, stdout } = strata('audit', 'verify', '--checkpoints', 'gone.txt');
  expect(status).toBe(1);
  expect(stdout).toContain('gone: NOT INTACT, 0 entries, 1 checkpoints\n');
  expect(stdout).toContain('  entry 1 cut off from the end\n');
});

test('a time after the last entry holds none; one that ends before it begins, and a name that nobody has, are refused', () => {
  const later = strata('audit', 'verify', '--tenant', 'acme', '--from', '2999-01-01');
  expect([later.status, later.stdout]).toEqual([0, 'acme: intact, 0 entries, 0 checkpoints\n']);
  for (const command of [['audit', 'verify'], ['audit', 'export', '--tenant', 'acme'], ['usage']]) {
    const { status, stdout, stderr } = strata(...command, '--from', '2026-02-01', '--to', '2026-02-01');
    expect([status, stdout, stderr], command.join(' ')).toEqual([1, '', '`--from` must be before `--to`.\n']);
  }
  for (const command of ['verify', 'export']) {
    const { status, stdout, stderr } = strata('audit', command, '--tenant', 'acne');
    expect([status, stdout, stderr]).toEqual([1, '', "There is no log of 'acne'.\n"]);
  }
});

test('whoever stops reading ends the command without a word', () => {
  const script = '"$0" "$1" prices | head -c 10';
  const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, main], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir },
  });
  expect(stdout).toHaveLength(10);
  expect(stderr).not.toContain('EPIPE');
});

test('a configuration file that was named must be there', () => {
  const { status, stderr } = spawnSync(process.execPath, [main, 'keys', 'list'], {
    encoding: 'utf8',
    cwd: deps.dataDir,
    env: { ...process.env, STRATA_DATA_DIR: deps.dataDir, STRATA_CONFIG: '/nowhere/strata.yaml' },
  });
  expect(status).toBe(2);
  expect(stderr).toContain("there is no file '/nowhere/strata.yaml'");
});

test('a moment that is none is refused', () => {
  const { status, stderr } = strata('audit', 'verify', '--from', 'yesterday');
  expect(status).not.toBe(0);
  expect(stderr).toContain('Expected a date');
});
