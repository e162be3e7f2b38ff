import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { MigrationSet } from '@strata/shared/stores/migrations.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing, type PrivateServer } from '@strata/shared/testing/private-server.ts';
import { sql } from 'kysely';
import { afterAll, describe, expect, test } from 'vitest';

/** What every SQL store must do, on both. */

interface Schema {
  items: { id: string; amount: number | bigint; data: Uint8Array | null };
}

const items = (extra: readonly string[] = []): MigrationSet => ({
  name: 'contract',
  migrations: [
    {
      name: '0001-items',
      statements: ({ text, integer, bytes, tableOptions }) => [
        `create table items (id ${text} primary key, amount ${integer} not null, data ${bytes}) ${tableOptions}`,
        ...extra,
      ],
    },
  ],
});

const folder = mkdtempSync(join(tmpdir(), 'strata-sql-'));
const postgres = await startPostgres();
const open = (url: string, migrations: readonly MigrationSet[] = [items()], config: object = {}) =>
  openSqlStore<Schema>({ url, config: storeSection.parse(config), migrations, clock: systemClock });

const stores: [string, string | undefined][] = [
  ['SQLite', `file:${join(folder, 'contract.sqlite')}`],
  ['PostgreSQL', isMissing(postgres) ? undefined : postgres.url],
];
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
  rmSync(folder, { recursive: true });
});

describe.for(stores.filter((each): each is [string, string] => each[1] !== undefined))(
  '%s',
  ([name, url]) => {
    const opened: SqlStore<Schema>[] = [];
    afterAll(async () => {
      await Promise.all(opened.map(store => store.close()));
    });
    const reasonOf = (work: Promise<unknown>) =>
      work.then(
        () => 'done',
        (error: GatewayError) => error.reason,
      );

    test('starters at the same moment migrate once', async () => {
      const started = await Promise.all(Array.from({ length: 5 }, () => open(url)));
      opened.push(...started);
      const { rows } = await sql<{ name: string }>`select name from strata_migrations`.execute(
        started[0]?.db ?? fail(),
      );
      expect(rows).toEqual([{ name: 'contract/0001-items' }]);
    });

    test('a store that a newer version wrote, or a migration that was changed, is refused', async () => {
      expect(await reasonOf(open(url, [{ name: 'contract', migrations: [] }]))).toBe('store_newer');
      await expect(open(url, [items(['select 1'])])).rejects.toMatchObject({ reason: 'migration_changed' });
      const other = await open(url, [{ name: 'other', migrations: [] }]);
      await other.close();
    });

    test('integers keep every digit, bytes come back as they were', async () => {
      const { db } = opened[0] ?? fail();
      const amounts = [
        0,
        -1,
        Number.MAX_SAFE_INTEGER,
        2n ** 53n,
        9_223_372_036_854_775_807n,
        -9_223_372_036_854_775_808n,
      ];
      for (const [index, amount] of amounts.entries()) {
        await db
          .insertInto('items')
          .values({ id: `${name}-${index}`, amount, data: Uint8Array.of(0, 255, index) })
          .execute();
      }
      const rows = await db.selectFrom('items').selectAll().orderBy('id').execute();
      expect(rows.map(row => row.amount)).toEqual(amounts);
      expect(rows.map(row => [...(row.data ?? [])])).toEqual(amounts.map((_, index) => [0, 255, index]));
    });

    test('a second row under one key is a conflict; what a failed transaction wrote is gone', async () => {
      const { db } = opened[0] ?? fail();
      await db.insertInto('items').values({ id: 'once', amount: 1, data: null }).execute();
      expect(
        await reasonOf(db.insertInto('items').values({ id: 'once', amount: 2, data: null }).execute()),
      ).toBe('unique_violation');
      const failing = db.transaction().execute(async transaction => {
        await transaction.insertInto('items').values({ id: 'gone', amount: 1, data: null }).execute();
        throw new Error('changed my mind');
      });
      await expect(failing).rejects.toThrow('changed my mind');
      expect(await db.selectFrom('items').select('id').where('id', '=', 'gone').execute()).toEqual([]);
    });

    test('concurrent transactions that read and then write lose no update', async () => {
      const { db } = opened[0] ?? fail();
      await db.insertInto('items').values({ id: 'counter', amount: 0, data: null }).execute();
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          (opened[index % opened.length] ?? fail()).db.transaction().execute(async transaction => {
            const query = transaction.selectFrom('items').select('amount').where('id', '=', 'counter');
            const { amount } = await (name === 'PostgreSQL'
              ? query.forUpdate()
              : query
            ).executeTakeFirstOrThrow();
            await transaction
              .updateTable('items')
              .set({ amount: Number(amount) + 1 })
              .where('id', '=', 'counter')
              .execute();
          }),
        ),
      );
      expect(
        (await db.selectFrom('items').select('amount').where('id', '=', 'counter').executeTakeFirstOrThrow())
          .amount,
      ).toBe(50);
    });
  },
);

test('[SQLite] three processes write to one file and none is turned away', async () => {
  const path = join(folder, 'shared.sqlite');
  const store = await open(`file:${path}`);
  await store.db.insertInto('items').values({ id: 'counter', amount: 0, data: null }).execute();
  const writers = Array.from({ length: 3 }, () =>
    spawn(process.execPath, [join(import.meta.dirname, 'fixtures/sqlite-writer.ts'), path, '150'], {
      stdio: 'inherit',
    }),
  );
  expect(await Promise.all(writers.map(async writer => (await once(writer, 'exit'))[0] as number))).toEqual([
    0, 0, 0,
  ]);
  expect((await store.db.selectFrom('items').select('amount').executeTakeFirstOrThrow()).amount).toBe(450);
  await store.close();
});

describe.skipIf(isMissing(postgres))('PostgreSQL that goes away', () => {
  test('[F14] stopped: refused with a reason; started again: the same store goes on', async () => {
    const server = postgres as PrivateServer; // not missing, or this would be skipped
    const store = await open(server.url, [items()], { acquire_timeout_ms: 500 });
    await store.ping();
    await server.stop();
    await expect(store.ping()).rejects.toMatchObject({ kind: 'overloaded', reason: 'store_unavailable' });
    await server.restart();
    await store.ping();
    await store.close();
  });

  test('[F16] a full pool makes callers wait for a bounded time', async () => {
    const server = postgres as PrivateServer; // as above
    const store = await open(server.url, [items()], { pool_size: 1, acquire_timeout_ms: 100 });
    const holder = store.db.transaction().execute(async transaction => {
      await sql`select pg_sleep(0.6)`.execute(transaction);
    });
    await new Promise(resolve => setImmediate(resolve));
    await expect(store.ping()).rejects.toMatchObject({ reason: 'store_unavailable' });
    await holder;
    await store.ping();
    await store.close();
  });
});

function fail(): never {
  throw new Error('no store was opened');
}
