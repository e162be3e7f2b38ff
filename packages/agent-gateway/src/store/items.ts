import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { type ExpressionBuilder, type Kysely, sql } from 'kysely';
import { type Expected, isExpected } from '../domain/expected.ts';
import type {
  ItemName,
  ItemRoom,
  ItemSummary,
  NewItem,
  PutItem,
  StoreItem,
  StoreItems,
} from '../domain/store-item.ts';
import { heldBy } from './held-by.ts';
import type { ItemSchema } from './item-schema.ts';

type Row = ItemSchema['store_items'];
const columns = [
  'tenant',
  'namespace',
  'item_key',
  'revision',
  'expires_at_ms',
  'created_at_ms',
  'updated_at_ms',
  'principal',
] as const;

/** Items in the store that the gateways share. What has expired is not there, though its row may be. */
export function createItems({ db }: Pick<SqlStore<ItemSchema>, 'db'>): StoreItems {
  return {
    async get(name, nowMs) {
      const row = await find(db, name);
      return row === undefined || isOver(row, nowMs) ? undefined : fromRow(row);
    },
    put: (item, options) =>
      persistently(options.expected, () => db.transaction().execute(within => put(within, item, options))),
    delete: (name, options) =>
      persistently(options.expected, () => db.transaction().execute(within => remove(within, name, options))),
    async list({ tenant, namespace, prefix, after: [afterNamespace, afterKey] = ['', ''], limit, nowMs }) {
      const rows = await db
        .selectFrom('store_items')
        .select(columns)
        .where('tenant', '=', tenant)
        .where(either =>
          either.or([either('expires_at_ms', 'is', null), either('expires_at_ms', '>', nowMs)]),
        )
        .where(({ eb, refTuple, tuple }) =>
          eb(refTuple('namespace', 'item_key'), '>', tuple(afterNamespace, afterKey)),
        )
        .$if(namespace !== undefined, query => query.where('namespace', '=', namespace ?? ''))
        .$if(prefix !== '', query =>
          query.where(sql<boolean>`substr(item_key, 1, ${[...prefix].length}) = ${prefix}`),
        )
        .orderBy('namespace')
        .orderBy('item_key')
        .limit(limit)
        .execute();
      return rows.map(toSummary);
    },
    async removeExpired({ nowMs, limit }) {
      const { numDeletedRows } = await db
        .deleteFrom('store_items')
        .where(({ eb, refTuple, selectFrom }) =>
          eb(
            refTuple('tenant', 'namespace', 'item_key'),
            'in',
            selectFrom('store_items as old')
              .select(['old.tenant', 'old.namespace', 'old.item_key'])
              .where('old.expires_at_ms', '<=', nowMs)
              .limit(limit)
              .$asTuple('tenant', 'namespace', 'item_key'),
          ),
        )
        .where('expires_at_ms', '<=', nowMs)
        .executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

const maxAttempts = 10;

/** When somebody else was faster it is tried again, which is nothing to those who do not mind what was there. */
async function persistently<Outcome>(
  expected: Expected,
  work: () => Promise<Outcome | 'unexpected'>,
): Promise<Outcome | 'unexpected'> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await work();
    if (outcome !== 'unexpected' || expected.type !== 'any' || attempt === maxAttempts) return outcome;
  }
}

async function remove(
  db: Kysely<ItemSchema>,
  name: ItemName,
  { expected, nowMs }: Parameters<StoreItems['delete']>[1],
): Promise<'deleted' | 'absent' | 'unexpected'> {
  const found = await find(db, name);
  if (found === undefined || isOver(found, nowMs)) return 'absent';
  if (!isExpected(expected, Number(found.revision))) return 'unexpected';
  const { numDeletedRows } = await db
    .deleteFrom('store_items')
    .where(isNamed(name))
    .where('revision', '=', found.revision)
    .executeTakeFirst();
  return numDeletedRows === 1n ? 'deleted' : 'unexpected';
}

async function put(
  db: Kysely<ItemSchema>,
  item: NewItem,
  { expected, room }: { readonly expected: Expected; readonly room: ItemRoom },
): Promise<PutItem | 'unexpected' | 'full'> {
  const found = await find(db, item);
  const before = found !== undefined && !isOver(found, item.updatedAtMs) ? found : undefined;
  if (!isExpected(expected, before && Number(before.revision))) return 'unexpected';
  const row = toRow(item, { before, found });
  if (!(await hasRoom(db, { row, found, room }))) return 'full';
  if (!(await write(db, row, found))) return 'unexpected';
  return { item: fromRow(row), isNew: before === undefined };
}

/** False when somebody has changed it since it was found: it has another revision then. */
async function write(db: Kysely<ItemSchema>, row: Row, found: Row | undefined): Promise<boolean> {
  if (found === undefined) {
    const insert = db
      .insertInto('store_items')
      .values(row)
      .onConflict(conflict => conflict.doNothing());
    return (await insert.executeTakeFirst()).numInsertedOrUpdatedRows === 1n;
  }
  const { tenant, namespace, item_key: key } = row;
  const update = db.updateTable('store_items').set(row).where(isNamed({ tenant, namespace, key }));
  return (await update.where('revision', '=', found.revision).executeTakeFirst()).numUpdatedRows === 1n;
}

const isNamed =
  ({ tenant, namespace, key }: ItemName) =>
  ({ and, eb }: ExpressionBuilder<ItemSchema, 'store_items'>) =>
    and([eb('tenant', '=', tenant), eb('namespace', '=', namespace), eb('item_key', '=', key)]);

const find = (db: Kysely<ItemSchema>, name: ItemName) =>
  db.selectFrom('store_items').selectAll().where(isNamed(name)).executeTakeFirst();

const isOver = ({ expires_at_ms: atMs }: Row, nowMs: number) => atMs !== null && Number(atMs) <= nowMs;

async function hasRoom(
  db: Kysely<ItemSchema>,
  { row, found, room }: { readonly row: Row; readonly found: Row | undefined; readonly room: ItemRoom },
): Promise<boolean> {
  if (found !== undefined && row.bytes <= Number(found.bytes)) return true;
  const { count, bytes } = await heldBy(row.tenant, { db, table: 'store_items' });
  const isNew = found === undefined ? 1 : 0;
  const held = bytes - Number(found?.bytes ?? 0);
  return count + isNew <= room.most && held + row.bytes <= room.mostBytes;
}

/** The first revision is the time, so that what is made again after it was deleted has another one than before. */
function toRow(
  item: NewItem,
  { before, found }: { readonly before: Row | undefined; readonly found: Row | undefined },
): Row {
  const value = JSON.stringify(item.value);
  return {
    tenant: item.tenant,
    namespace: item.namespace,
    item_key: item.key,
    revision: found === undefined ? item.updatedAtMs : Number(found.revision) + 1,
    value,
    bytes: Buffer.byteLength(value),
    expires_at_ms: item.expiresAtMs ?? null,
    created_at_ms: Number(before?.created_at_ms ?? item.updatedAtMs),
    updated_at_ms: item.updatedAtMs,
    principal: item.principal,
  };
}

function fromRow(row: Row): StoreItem {
  return { ...toSummary(row), value: JSON.parse(row.value) }; // by `toRow`
}

function toSummary(row: Pick<Row, (typeof columns)[number]>): ItemSummary {
  return {
    tenant: row.tenant,
    namespace: row.namespace,
    key: row.item_key,
    revision: Number(row.revision),
    expiresAtMs: row.expires_at_ms === null ? undefined : Number(row.expires_at_ms),
    createdAtMs: Number(row.created_at_ms),
    updatedAtMs: Number(row.updated_at_ms),
    principal: row.principal,
  };
}
