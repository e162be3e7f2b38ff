import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { IdentitySchema } from './identity-schema.ts';
import type { NodeKind } from './tree.ts';

export type IdentityTransaction = Transaction<IdentitySchema>;

/** What a change concerns: a key, a node of the tree, a run that was cancelled, a limit, prices or a signing key (both of the installation: their tenant is `*`). */
export interface ChangedSubject {
  readonly tenant: string;
  readonly kind: 'key' | 'run' | 'price' | 'limit' | 'signing-key' | NodeKind;
  readonly id: string;
}

export interface IdentityChange extends ChangedSubject {
  /** Rises by one with every change, in the order of the commits. */
  readonly version: number;
  readonly atMs: number;
}

export interface IdentityWriter {
  readonly sql: SqlStore<IdentitySchema>;
  readonly clock: Clock;
  /** Called after a change was committed: the moment to tell other processes. */
  readonly onChanged?: (() => void) | undefined;
}

/** Changes that are kept. Whoever missed more than these reads everything anew. */
const keptChanges = 10_000;
const trimEvery = 500;

/** The hot channel on which processes hint at changes; the log in the store is what counts. */
export const identityChannel = 'identity-changed';

/** Does the work and writes down what it changed in one transaction: no reader sees one without the other. */
export async function writeChange<T>(
  { sql, clock, onChanged }: IdentityWriter,
  work: (transaction: IdentityTransaction) => Promise<{ result: T; changed: readonly ChangedSubject[] }>,
): Promise<T> {
  const result = await sql.db.transaction().execute(async transaction => {
    const done = await work(transaction);
    for (const subject of done.changed) await noteChange(transaction, subject, clock.now());
    return done.result;
  });
  onChanged?.();
  return result;
}

/** Writes the change down in the transaction that makes it. Returns its version; no other writer is between that and the commit. */
export async function noteChange(
  transaction: IdentityTransaction,
  { tenant, kind, id }: ChangedSubject,
  atMs: number,
): Promise<number> {
  // The row is locked until the commit, so versions become visible in their order, without gaps.
  const row = await transaction
    .updateTable('identity_version')
    .set(current => ({ version: current('version', '+', 1) }))
    .returning('version')
    .executeTakeFirstOrThrow();
  const version = Number(row.version);
  await transaction
    .insertInto('identity_changes')
    .values({ version, tenant, kind, id, at_ms: atMs })
    .execute();
  if (version % trimEvery !== 0) return version;
  await transaction
    .deleteFrom('identity_changes')
    .where('version', '<=', version - keptChanges)
    .execute();
  return version;
}

const pageSize = 1000;

/** Changes after a version, oldest first. `isWhole` is false when some of them are no longer kept. */
export async function readChanges(
  sql: SqlStore<IdentitySchema>,
  after: number,
  signal?: AbortSignal,
): Promise<{ changes: IdentityChange[]; isWhole: boolean; isLast: boolean }> {
  const rows = await sql.db
    .selectFrom('identity_changes')
    .selectAll()
    .where('version', '>', after)
    .orderBy('version')
    .limit(pageSize)
    .execute({ ...(signal && { signal }) });
  const changes = rows.map(row => ({
    version: Number(row.version),
    tenant: row.tenant,
    kind: row.kind as IdentityChange['kind'], // written by `noteChange` only
    id: row.id,
    atMs: Number(row.at_ms),
  }));
  const first = changes[0]?.version ?? after + 1;
  return { changes, isWhole: first === after + 1, isLast: changes.length < pageSize };
}

export async function readVersion(sql: SqlStore<IdentitySchema>): Promise<number> {
  const row = await sql.db.selectFrom('identity_version').select('version').executeTakeFirstOrThrow();
  return Number(row.version);
}
