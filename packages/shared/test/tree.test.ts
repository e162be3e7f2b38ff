import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readChanges } from '@strata/shared/identity/identity-changes.ts';
import { type IdentitySchema, identityMigrations } from '@strata/shared/identity/identity-schema.ts';
import { createKeyStore, type KeyStore } from '@strata/shared/identity/key-store.ts';
import { createTreeStore, type TreeStore } from '@strata/shared/identity/tree-store.ts';
import { Secret } from '@strata/shared/secret.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sql as raw } from 'kysely';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'strata-tree-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

const reasonOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { reason: string }) => error.reason,
  );

let databases = 0;

function treeTests(name: string, emptyDatabase: () => Promise<string>): void {
  describe(`the tree on ${name}`, () => {
    const clock = createManualClock();
    const pepper = new Secret('p'.repeat(32));
    let url: string;
    let store: SqlStore<IdentitySchema>;
    let tree: TreeStore;
    let keys: KeyStore;

    const open = async (migrations = identityMigrations.migrations) => {
      store = await openSqlStore<IdentitySchema>({
        url,
        config: storeSection.parse({}),
        migrations: [{ ...identityMigrations, migrations }],
        clock,
      });
      tree = createTreeStore({ sql: store, clock });
      keys = createKeyStore({ sql: store, clock, pepper });
    };
    beforeEach(async () => {
      url = await emptyDatabase();
      await open();
    });
    afterEach(() => store.close());

    test('a node stands under one that exists, in its own organisation', async () => {
      await tree.create({ tenant: 'acme', kind: 'organisation', id: 'acme', name: 'Acme Ltd' });
      await tree.create({ tenant: 'other', kind: 'organisation', id: 'other' });
      await tree.create({ tenant: 'acme', kind: 'team', id: 'support' });
      await tree.create({ tenant: 'acme', kind: 'project', id: 'triage', parent: 'support' });
      const ada = { tenant: 'acme', kind: 'principal', id: 'auth0|ada', parent: 'triage' } as const;
      expect(
        await tree.create({ ...ada, principalKind: 'agent', metadata: { mail: 'ada@acme.test' } }),
      ).toEqual({
        ...ada,
        principalKind: 'agent',
        name: 'auth0|ada',
        metadata: { mail: 'ada@acme.test' },
        revision: 1,
        createdAtMs: clock.now(),
        expiresAtMs: undefined,
        disabledAtMs: undefined,
      });
      expect(await reasonOf(tree.create(ada))).toBe('node_exists');
      expect(await reasonOf(tree.create({ ...ada, tenant: 'other' }))).toBe('unknown_node');
      expect(await reasonOf(tree.create({ ...ada, id: 'with space' }))).toBe('node_invalid');
      expect(await tree.find({ ...ada, tenant: 'other' })).toBeUndefined();
      expect((await tree.list({ tenant: 'acme', kind: 'project', limit: 10 })).map(node => node.id)).toEqual([
        'triage',
      ]);
      expect(await tree.list({ tenant: 'acme', kind: 'project', parent: 'x', limit: 10 })).toEqual([]);
      expect(await tree.listTenants({ after: 'acme', limit: 10 })).toEqual(['other']);
    });

    test('a key knows its whole path, and what is missing of the path is made with it', async () => {
      const path = { tenant: 'acme', team: 'support', project: 'triage', principal: 'bot' };
      const made = await keys.create({
        name: 'k',
        ...path,
        principalKind: 'service',
        tags: ['blue'],
        metadata: { a: 'b' },
      });
      expect(await keys.findBySecret(made.secret.reveal())).toMatchObject({
        ...path,
        principalKind: 'service',
        tags: ['blue'],
        metadata: { a: 'b' },
        roles: [],
        revision: 1,
        isStoppedAbove: false,
      });
      const second = await keys.create({ name: 'k2', tenant: 'acme', principal: 'bot' });
      expect(second.key).toMatchObject(path);
      expect(await reasonOf(keys.create({ name: 'k3', ...path, project: 'sales', team: 'sales' }))).toBe(
        'node_elsewhere',
      );
      // Two keys of one millisecond are in no order.
      expect(
        (await keys.list({ tenant: 'acme', team: 'support', limit: 10 })).map(key => key.name).sort(),
      ).toEqual(['k', 'k2']);
      expect(await keys.list({ tenant: 'acme', team: 'sales', limit: 10 })).toEqual([]);
    });

    test('whoever is given a team alone stands in a project of that team', async () => {
      await keys.create({ name: 'first', tenant: 'acme', principal: 'bot' });
      for (const team of ['support', 'sales', 'support']) {
        const { key } = await keys.create({ name: team, tenant: 'acme', principal: `bot-of-${team}`, team });
        expect(key).toMatchObject({ team, project: `${team}-default` });
      }
    });

    test('a change says on which revision it was decided, and leaves no trace when it is refused', async () => {
      const { key } = await keys.create({ name: 'k', tenant: 'acme', principal: 'bot' });
      const seen: string[] = [];
      const record = async (_transaction: unknown, changed: { name: string }) => void seen.push(changed.name);
      expect(
        await keys.change(key.id, { name: 'new', roles: ['auditor'] }, { revision: 1, record }),
      ).toMatchObject({
        name: 'new',
        roles: ['auditor'],
        revision: 2,
      });
      expect(await reasonOf(keys.change(key.id, { name: 'late' }, { revision: 1, record }))).toBe(
        'revision_mismatch',
      );
      expect(await reasonOf(keys.change(key.id, { name: 'foreign' }, { tenant: 'other', record }))).toBe(
        'unknown_key',
      );
      const failing = { record: () => Promise.reject(new Error('the audit is full')) };
      expect(await reasonOf(keys.disable(key.id, failing))).not.toBe('done');
      expect(await keys.findById(key.id)).toMatchObject({
        name: 'new',
        revision: 2,
        disabledAtMs: undefined,
      });
      expect(seen).toEqual(['new']);
      const address = { tenant: 'acme', kind: 'team', id: 'default' } as const;
      expect(await tree.change(address, { isDisabled: true }, { revision: 1 })).toMatchObject({
        revision: 2,
      });
      expect(await reasonOf(tree.change(address, {}, { revision: 1 }))).toBe('revision_mismatch');
      expect(await reasonOf(tree.change({ ...address, id: 'x' }, {}))).toBe('unknown_node');
      expect(await keys.findById(key.id)).toMatchObject({ isStoppedAbove: true });
    });

    test('[A12] every change has a version, without gaps, in the order of the commits', async () => {
      const { key } = await keys.create({ name: 'k', tenant: 'acme', principal: 'bot' });
      await Promise.all(
        Array.from({ length: 20 }, (_, index) => keys.change(key.id, { name: `name ${index}` })),
      );
      await keys.delete(key.id);
      const { changes, isWhole } = await readChanges(store, 0);
      expect(isWhole).toBe(true);
      expect(changes.map(change => change.version)).toEqual(changes.map((_, index) => index + 1));
      expect(changes.filter(change => change.kind === 'key')).toHaveLength(22);
      expect(changes.at(-1)).toMatchObject({ tenant: 'acme', kind: 'key', id: key.id });
    });

    test('keys from before there was a tree work on, under the default team and project', async () => {
      await store.close();
      url = await emptyDatabase();
      await open(identityMigrations.migrations.slice(0, 2));
      const scopes = JSON.stringify({ models: ['gpt-*'], tools: ['files__*'], workflows: ['a/*'] });
      for (const [id, principal, isAdmin] of [
        ['key_1', 'ada', 1],
        ['key_2', 'ada', 0],
        ['key_3', 'bot', 0],
      ]) {
        await raw`insert into virtual_keys (id, digest, name, prefix, tenant, principal, is_admin, scopes, created_at_ms)
          values (${id}, ${id}, 'old', 'sk-strata-abc', 'acme', ${principal}, ${isAdmin}, ${scopes}, 5)`.execute(
          store.db,
        );
      }
      await store.close();
      await open();
      expect(await keys.findById('key_1')).toMatchObject({
        tenant: 'acme',
        team: 'default',
        project: 'default',
        principal: 'ada',
        principalKind: 'user',
        roles: ['owner'],
        isStoppedAbove: false,
        scopes: {
          models: ['gpt-*'],
          servers: ['*'],
          tools: ['files__*'],
          agents: ['a/*'],
          workflows: ['a/*'],
        },
      });
      expect(await keys.findById('key_3')).toMatchObject({ principal: 'bot', roles: [], tags: [] });
      const principals = await tree.list({ tenant: 'acme', kind: 'principal', limit: 10 });
      expect(principals.map(node => node.id)).toEqual(['ada', 'bot']);
    });
  });
}

treeTests('SQLite', async () => `file:${join(folder, `${++databases}.sqlite`)}`);
if (isMissing(postgres)) test.skip(`the tree on PostgreSQL: ${postgres.missing}`, () => {});
else treeTests('PostgreSQL', () => postgres.createDatabase());
