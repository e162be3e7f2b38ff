import { hash } from 'node:crypto';
import type { Transaction } from 'kysely';
import { canonicalJson, type JsonValue } from '../json/canonical-json.ts';
import { RowInsert } from '../stores/row-insert.ts';
import type { AuditKeys } from './audit-keys.ts';
import { type DatedEvent, filterColumns, genesisHash, recordOf } from './audit-record.ts';
import type { AuditSchema } from './audit-schema.ts';

/** Where a chain ends. */
export interface ChainEnd {
  readonly tenant: string;
  readonly seq: number;
  readonly hash: string;
}

type Head = AuditSchema['audit_heads'];
type EntryRow = AuditSchema['audit_entries'];

const entries = new RowInsert<AuditSchema, EntryRow>((transaction, rows) =>
  transaction.insertInto('audit_entries').values(rows),
);
const namedValues = new RowInsert<AuditSchema, AuditSchema['audit_sensitive']>((transaction, rows) =>
  transaction.insertInto('audit_sensitive').values(rows),
);

/**
 * Puts events of one tenant at the end of its chain, in their order. From here to the end of the transaction nobody else appends for
 * the tenant: call it last. Ids that are stored already are left out when `mayBeStored` says that an earlier try is in doubt.
 */
export async function appendEvents(
  transaction: Transaction<AuditSchema>,
  keys: AuditKeys,
  batch: { readonly tenant: string; readonly events: readonly DatedEvent[]; readonly mayBeStored: boolean },
): Promise<ChainEnd> {
  const { tenant } = batch;
  const head = await holdHead(transaction, keys, tenant);
  const events = batch.mayBeStored ? await notStored(transaction, batch.events) : batch.events;
  const rows = chain(head, events, keys);
  const last = rows.at(-1);
  if (last === undefined) return head;
  await entries.execute(transaction, rows);
  const sensitive = events.flatMap(({ id, event }) =>
    event.sensitive === undefined ? [] : [{ id, named_values: canonicalJson(event.sensitive) }],
  );
  await namedValues.execute(transaction, sensitive);
  await transaction
    .updateTable('audit_heads')
    .set(sealedEnd(keys, { tenant, seq: last.seq, hash: last.hash }))
    .where('tenant', '=', tenant)
    .execute();
  return { tenant, seq: last.seq, hash: last.hash };
}

/** The end of the chain, locked until the transaction ends. */
async function holdHead(
  transaction: Transaction<AuditSchema>,
  keys: AuditKeys,
  tenant: string,
): Promise<Head> {
  const read = () =>
    transaction
      .selectFrom('audit_heads')
      .selectAll()
      .where('tenant', '=', tenant)
      .forUpdate()
      .executeTakeFirst();
  const known = await read();
  if (known !== undefined) return known;
  await transaction
    .insertInto('audit_heads')
    .values(sealedEnd(keys, { tenant, seq: 0, hash: genesisHash }))
    .onConflict(conflict => conflict.column('tenant').doNothing())
    .execute();
  const made = await read();
  if (made === undefined) throw new Error(`The audit chain of '${tenant}' has no head`);
  return made;
}

export function sealedEnd(keys: AuditKeys, end: ChainEnd): Head {
  return { ...end, seal: keys.seal(end.tenant, `head ${end.seq} ${end.hash}`) };
}

async function notStored(
  transaction: Transaction<AuditSchema>,
  events: readonly DatedEvent[],
): Promise<readonly DatedEvent[]> {
  const ids = events.map(each => each.id);
  const rows = await transaction.selectFrom('audit_entries').select('id').where('id', 'in', ids).execute();
  const stored = new Set(rows.map(row => row.id));
  return events.filter(each => !stored.has(each.id));
}

function chain(head: Head, events: readonly DatedEvent[], keys: AuditKeys): EntryRow[] {
  const { tenant } = head;
  let { seq, hash: previous } = head;
  return events.map(event => {
    seq++;
    const entered = recordOf(event, { seq, previous }, commitments(keys, tenant, event.event.sensitive));
    const record = canonicalJson(entered);
    previous = hash('sha256', record);
    return {
      tenant,
      seq,
      ...filterColumns(entered),
      record,
      hash: previous,
      seal: keys.seal(tenant, previous),
    };
  });
}

function commitments(
  keys: AuditKeys,
  tenant: string,
  values: Readonly<Record<string, JsonValue>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (values === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, keys.commit(tenant, name, value)]),
  );
}
