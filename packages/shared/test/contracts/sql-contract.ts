import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { MigrationSet } from '@strata/shared/stores/migrations.ts';
import { RowInsert } from '@strata/shared/stores/row-insert.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ItemsSchema, items, openItems, outcomeOf } from './sql-items.ts';

/** What every SQL store must do. `emptyDatabase` gives the url of one that nobody used before. */
export function sqlContract(name: string, emptyDatabase: () => Promise<string>): void {
  describe(`${name} as a SQL store`, () => {
    describe('migrations', () => {
      test('starters at the same moment migrate once', async () => {
        const url = await emptyDatabase();
        const stores = await Promise.all(Array.from({ length: 5 }, () => openItems(url)));
        const { rows } = await sql<{
          name: string;
        }>`select name from strata_migrations order by name`.execute(stores[0]?.db ?? fail());
        expect(rows).toEqual([{ name: 'contract/0001-items' }, { name: 'contract/0002-parts' }]);
        await Promise.all(stores.map(store => store.close()));
      });

      test('a store that a newer version wrote is refused; tables of another feature are none of our business', async () => {
        const url = await emptyDatabase();
        await (await openItems(url)).close();
        const older: MigrationSet = { name: 'contract', migrations: items().migrations.slice(0, 1) };
        await expect(openItems(url, { migrations: [older] })).rejects.toMatchObject({
          kind: 'conflict',
          reason: 'store_newer',
          message: expect.stringContaining('contract/0002-parts'),
        });
        await (await openItems(url, { migrations: [{ name: 'other', migrations: [] }] })).close();
      });

      test('a migration that was changed, or put before others, is refused', async () => {
        const url = await emptyDatabase();
        const [first, second] = items().migrations;
        if (!first || !second) return fail();
        await (await openItems(url, { migrations: [{ name: 'contract', migrations: [first] }] })).close();
        expect(await outcomeOf(openItems(url, { migrations: [items(['select 1'])] }))).toBe(
          'migration_changed',
        );
        const moved = { name: 'contract', migrations: [second, first] };
        expect(await outcomeOf(openItems(url, { migrations: [moved] }))).toBe('migration_changed');
      });

      test('a migration that fails half-way leaves nothing behind, and can be done again', async () => {
        const url = await emptyDatabase();
        await expect(openItems(url, { migrations: [items(['create nonsense'])] })).rejects.toThrow(/syntax/);
        const store = await openItems(url);
        expect(await store.db.selectFrom('items').selectAll().execute()).toEqual([]);
        await store.close();
      });
    });

    describe('rows', () => {
      let store: SqlStore<ItemsSchema>;
      beforeAll(async () => {
        store = await openItems(await emptyDatabase());
      });
      afterAll(() => store.close());
      const insert = (id: string, amount: number | bigint = 0, data: Uint8Array | null = null) =>
        store.db.insertInto('items').values({ id, amount, data }).execute();
      const amountOf = (id: string) =>
        store.db.selectFrom('items').select('amount').where('id', '=', id).executeTakeFirst();

      test('rows that are inserted together arrive as they are, whatever their number', async () => {
        const insertion = new RowInsert<ItemsSchema, ItemsSchema['items'], { id: string }>(
          (transaction, rows) => transaction.insertInto('items').values(rows).returning('id'),
        );
        for (const count of [0, 1, 3, 4, 64, 187, 1]) {
          const rows = Array.from({ length: count }, (_, index) => ({
            id: `together ${String(index).padStart(3, '0')}`,
            amount: index % 2 === 0 ? index : 2n ** 60n + BigInt(index),
            data: index % 3 === 0 ? null : Uint8Array.of(index),
          }));
          const { returned, affected } = await store.db
            .transaction()
            .execute(transaction => insertion.execute(transaction, rows));
          expect(returned).toEqual(rows.map(({ id }) => ({ id })));
          expect(affected).toBe(count);
          const together = store.db.selectFrom('items').where('id', 'like', 'together %');
          const found = await together.selectAll().orderBy('id').execute();
          expect(found.map(row => ({ ...row, data: row.data && Uint8Array.from(row.data) }))).toEqual(rows);
          await store.db.deleteFrom('items').where('id', 'like', 'together %').execute();
        }
      });

      test('integers keep every digit, and so do their sums; bytes come back as they were', async () => {
        const amounts = [
          ...[0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
          ...[2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)],
        ];
        for (const [index, amount] of amounts.entries()) {
          await insert(`digits ${index}`, amount, Uint8Array.of(0, 255, index));
        }
        const all = store.db.selectFrom('items').where('id', 'like', 'digits %');
        const rows = await all.selectAll().orderBy('id').execute();
        expect(rows.map(row => row.amount)).toEqual(amounts);
        expect(rows.map(row => [...(row.data ?? [])])).toEqual(amounts.map((_, index) => [0, 255, index]));
        const sum = (from: string, to: string) =>
          all
            .where('id', '>=', `digits ${from}`)
            .where('id', '<=', `digits ${to}`)
            .select(({ fn }) => fn.sum('amount').as('sum'))
            .executeTakeFirst();
        expect(await sum('2', '2')).toEqual({ sum: Number.MAX_SAFE_INTEGER });
        expect(await sum('2', '4')).toEqual({ sum: 2n ** 53n });
        expect(await all.select(({ fn }) => fn.countAll().as('count')).executeTakeFirst()).toEqual({
          count: 8,
        });
      });

      test('keys of the database rise and are not used again', async () => {
        await insert('whole');
        const add = async () =>
          Number(
            (
              await store.db
                .insertInto('parts')
                .values({ seq: undefined, item: 'whole', share: 1 })
                .returning('seq')
                .executeTakeFirstOrThrow()
            ).seq,
          );
        const first = await add();
        const second = await add();
        await store.db.deleteFrom('parts').where('seq', '=', second).execute();
        const third = await add();
        expect([second - first > 0, third - second > 0]).toEqual([true, true]);
      });

      test('[C1] text is a value, whatever stands in it', async () => {
        await fc.assert(
          fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 40 }), async text => {
            const id = `'; drop table items; -- ${text}`;
            await insert(id, 7);
            expect(await amountOf(id)).toEqual({ amount: 7 });
            const deleted = await store.db.deleteFrom('items').where('id', '=', id).executeTakeFirst();
            expect(deleted.numDeletedRows).toBe(1n);
          }),
          { numRuns: 50 },
        );
      });

      test('what a table does not allow is a conflict with a reason', async () => {
        await insert('once');
        const part = (item: string, share: number) =>
          store.db.insertInto('parts').values({ seq: undefined, item, share }).execute();
        expect(await outcomeOf(insert('once'))).toBe('unique_violation');
        expect(await outcomeOf(part('nobody', 1))).toBe('foreign_key_violation');
        expect(await outcomeOf(part('once', 101))).toBe('check_violation');
        await expect(insert('once')).rejects.toMatchObject({ kind: 'conflict', status: 409 });
      });

      test('a mistake in a statement is no word about the store', async () => {
        await expect(sql`select nothing from nowhere`.execute(store.db)).rejects.not.toBeInstanceOf(
          GatewayError,
        );
      });

      test('a signal ends the wait; the store goes on', async () => {
        const query = store.db.selectFrom('items').selectAll();
        await expect(query.execute({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow();
        await expect(store.ping(AbortSignal.abort(new Error('enough')))).rejects.toThrow();
        await store.ping();
      });

      test('nothing streams: neither store pretends to', async () => {
        await expect(store.db.selectFrom('items').selectAll().stream().next()).rejects.toThrow(
          'pages by key',
        );
      });
    });

    describe('transactions', () => {
      let store: SqlStore<ItemsSchema>;
      beforeAll(async () => {
        store = await openItems(await emptyDatabase(), {
          config: { pool_size: 5, acquire_timeout_ms: 20_000 },
        });
      });
      afterAll(() => store.close());

      test('what a failed one wrote is gone, and its error is the one that arrives', async () => {
        const failing = store.db.transaction().execute(async transaction => {
          await transaction.insertInto('items').values({ id: 'gone', amount: 1, data: null }).execute();
          throw new Error('changed my mind');
        });
        await expect(failing).rejects.toThrow('changed my mind');
        const insertTwice = store.db.transaction().execute(async transaction => {
          for (let index = 0; index < 2; index++) {
            await transaction.insertInto('items').values({ id: 'gone', amount: 1, data: null }).execute();
          }
        });
        expect(await outcomeOf(insertTwice)).toBe('unique_violation');
        expect(await store.db.selectFrom('items').select('id').where('id', '=', 'gone').execute()).toEqual(
          [],
        );
        expect(store.usage()).toMatchObject({ idle: store.usage().size, waiting: 0 });
      });

      test('others read on meanwhile, see nothing of it before the commit, and all of it after', async () => {
        const read = () =>
          store.db.selectFrom('items').select('amount').where('id', '=', 'later').executeTakeFirst();
        await store.db.transaction().execute(async transaction => {
          await transaction.insertInto('items').values({ id: 'later', amount: 1, data: null }).execute();
          expect(await read()).toBeUndefined();
          const own = transaction.selectFrom('items').select('amount').where('id', '=', 'later');
          expect(await own.executeTakeFirst()).toEqual({ amount: 1 });
        });
        expect(await read()).toEqual({ amount: 1 });
      });

      test('concurrent ones that read and then write lose no update', async () => {
        await store.db.insertInto('items').values({ id: 'counter', amount: 0, data: null }).execute();
        const addOne = () =>
          store.db.transaction().execute(async transaction => {
            const { amount } = await transaction
              .selectFrom('items')
              .select('amount')
              .where('id', '=', 'counter')
              .forUpdate()
              .executeTakeFirstOrThrow();
            await transaction
              .updateTable('items')
              .set({ amount: Number(amount) + 1 })
              .where('id', '=', 'counter')
              .execute();
          });
        await Promise.all(Array.from({ length: 50 }, addOne));
        const query = store.db.selectFrom('items').select('amount').where('id', '=', 'counter');
        expect(await query.executeTakeFirst()).toEqual({ amount: 50 });
      });

      test('claims of rows that nobody else holds are written once for both', async () => {
        await store.db.insertInto('items').values({ id: 'job', amount: 0, data: null }).execute();
        const claim = () =>
          store.db.transaction().execute(async transaction => {
            const job = await transaction
              .selectFrom('items')
              .select('id')
              .where('id', '=', 'job')
              .where('amount', '=', 0)
              .forUpdate()
              .skipLocked()
              .executeTakeFirst();
            if (!job) return 0;
            await transaction.updateTable('items').set({ amount: 1 }).where('id', '=', job.id).execute();
            return 1;
          });
        const claimed = await Promise.all(Array.from({ length: 10 }, claim));
        expect(claimed.reduce<number>((sum, each) => sum + each, 0)).toBe(1);
      });

      test('any sequence of writes, kept or taken back, leaves what a map would hold', async () => {
        const id = fc.constantFrom('a', 'b', 'c');
        const write = fc.record({ id, amount: fc.option(fc.integer({ min: 0, max: 9 })) });
        const batch = fc.record({ writes: fc.array(write, { maxLength: 5 }), isKept: fc.boolean() });
        await fc.assert(
          fc.asyncProperty(fc.array(batch, { maxLength: 6 }), async batches => {
            await store.db.deleteFrom('items').execute();
            let model = new Map<string, number>();
            for (const { writes, isKept } of batches) {
              const next = new Map(model);
              const work = store.db.transaction().execute(async transaction => {
                for (const each of writes) {
                  if (each.amount === null) {
                    next.delete(each.id);
                    await transaction.deleteFrom('items').where('id', '=', each.id).execute();
                    continue;
                  }
                  next.set(each.id, each.amount);
                  const row = { id: each.id, amount: each.amount, data: null };
                  await transaction
                    .insertInto('items')
                    .values(row)
                    .onConflict(conflict => conflict.column('id').doUpdateSet({ amount: row.amount }))
                    .execute();
                }
                if (!isKept) throw new Error('taken back');
              });
              expect(await outcomeOf(work)).toBe(isKept ? 'done' : 'Error: taken back');
              if (isKept) model = next;
            }
            const rows = await store.db.selectFrom('items').select(['id', 'amount']).execute();
            expect(new Map(rows.map(row => [row.id, row.amount]))).toEqual(model);
          }),
          { numRuns: 40 },
        );
      });
    });
  });
}

function fail(): never {
  throw new Error('no store was opened');
}
