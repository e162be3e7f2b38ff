import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Thread, ThreadSummary, Threads } from '../domain/thread.ts';
import type { ThreadSchema } from './thread-schema.ts';

type Row = ThreadSchema['threads'];
const columns = [
  'id',
  'tenant',
  'namespace',
  'revision',
  'run_id',
  'created_at_ms',
  'updated_at_ms',
  'principal',
] as const;
type Body = Pick<Thread, 'metadata' | 'context' | 'runs' | 'takenFor'>;

/** Threads in the store that the gateways share. */
export function createThreads({ db }: Pick<SqlStore<ThreadSchema>, 'db'>): Threads {
  return {
    async create(thread) {
      await db.insertInto('threads').values(toRow(thread)).execute();
    },
    async get(tenant, id) {
      const row = await db
        .selectFrom('threads')
        .selectAll()
        .where('id', '=', id)
        .where('tenant', '=', tenant)
        .executeTakeFirst();
      return row && fromRow(row);
    },
    async count(tenant) {
      const { n } = await db
        .selectFrom('threads')
        .select(({ fn }) => fn.countAll<number | string>().as('n'))
        .where('tenant', '=', tenant)
        .executeTakeFirstOrThrow();
      return Number(n);
    },
    async list({ tenant, after, limit }) {
      const rows = await db
        .selectFrom('threads')
        .select(columns)
        .where('tenant', '=', tenant)
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(toSummary);
    },
    async change(thread, atMs) {
      const changed = { ...thread, revision: thread.revision + 1, updatedAtMs: atMs };
      const { numUpdatedRows } = await db
        .updateTable('threads')
        .set(toRow(changed))
        .where('id', '=', thread.id)
        .where('revision', '=', thread.revision)
        .executeTakeFirst();
      return numUpdatedRows === 1n ? changed : undefined;
    },
    async delete({ id, revision }) {
      const { numDeletedRows } = await db
        .deleteFrom('threads')
        .where('id', '=', id)
        .where('revision', '=', revision)
        .executeTakeFirst();
      return numDeletedRows === 1n;
    },
    async unsettled({ after, limit }) {
      const rows = await db
        .selectFrom('threads')
        .selectAll()
        .where('run_id', 'is not', null)
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
  };
}

function toRow({ id, tenant, namespace, revision, run, principal, ...thread }: Thread): Row {
  const { metadata, context, runs, takenFor } = thread;
  return {
    id,
    tenant,
    namespace,
    revision,
    body: JSON.stringify({ metadata, context: context ?? null, runs, takenFor } satisfies Body),
    run_id: run ?? null,
    created_at_ms: thread.createdAtMs,
    updated_at_ms: thread.updatedAtMs,
    principal,
  };
}

function fromRow(row: Row): Thread {
  return { ...toSummary(row), ...(JSON.parse(row.body) as Body) }; // by `toRow`
}

function toSummary(row: Omit<Row, 'body'>): ThreadSummary {
  return {
    id: row.id,
    tenant: row.tenant,
    namespace: row.namespace,
    revision: Number(row.revision),
    run: row.run_id ?? undefined,
    createdAtMs: Number(row.created_at_ms),
    updatedAtMs: Number(row.updated_at_ms),
    principal: row.principal,
  };
}
