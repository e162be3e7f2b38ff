import { type Kysely, sql } from 'kysely';
import type { JsonValue } from '../json/canonical-json.ts';
import { columnText } from '../stores/column-text.ts';
import type { AuditCategory, AuditOutcome, AuditRecord } from './audit-record.ts';
import { type AuditSchema, usualValues } from './audit-schema.ts';

/** What entries are wanted. A tenant must be named: there is no value that means all (S-2). */
export interface AuditFilter {
  readonly tenant: string;
  readonly fromMs?: number | undefined;
  /** Not included. */
  readonly toMs?: number | undefined;
  readonly category?: AuditCategory | undefined;
  readonly action?: string | undefined;
  readonly outcome?: AuditOutcome | undefined;
  readonly principal?: string | undefined;
  readonly keyId?: string | undefined;
  /** `type:id`, as `tool:files__read`. */
  readonly target?: string | undefined;
  readonly runId?: string | undefined;
  readonly traceId?: string | undefined;
}

/** An entry as it is shown and exported. `record` and `hash` are enough to verify the chain. */
export interface AuditEntry {
  readonly seq: number;
  readonly record: AuditRecord;
  readonly hash: string;
  readonly seal: string;
  /** Values that the record holds as keyed hashes; left out of a redacted export. */
  readonly values?: Readonly<Record<string, JsonValue>>;
}

interface EntryPage {
  readonly after?: number | undefined;
  readonly limit: number;
  readonly newestFirst?: boolean;
  readonly withValues?: boolean;
}

/** Entries in the order of the chain, from the one after `after`; or backwards, from the one before it. */
export async function listEntries(
  db: Kysely<AuditSchema>,
  filter: AuditFilter,
  page: EntryPage,
): Promise<AuditEntry[]> {
  return readPage(db, filter, { ...page, isShortTime: await isShortTime(db, filter) });
}

async function readPage(
  db: Kysely<AuditSchema>,
  filter: AuditFilter,
  page: EntryPage & { readonly isShortTime: boolean },
): Promise<AuditEntry[]> {
  const { after, limit, newestFirst = false, withValues = false } = page;
  const order = newestFirst ? 'desc' : 'asc';
  const found = matching(db, filter, isTimeIndexOfUse(filter, page))
    .select('seq')
    .$if(after !== undefined, each => each.where('seq', newestFirst ? '<' : '>', after ?? 0))
    .orderBy('seq', order)
    .limit(limit);
  const rows = await db
    .selectFrom('audit_entries')
    .leftJoin('audit_sensitive', 'audit_sensitive.id', 'audit_entries.id')
    .select(['audit_entries.seq', 'record', 'hash', 'seal', 'audit_sensitive.named_values'])
    .where('audit_entries.tenant', '=', filter.tenant)
    .where('audit_entries.seq', 'in', found)
    .orderBy('audit_entries.seq', order)
    .execute();
  return rows.map(row => ({
    seq: row.seq,
    record: JSON.parse(row.record) as AuditRecord, // as `recordOf` wrote it; whether it still is, `verifyChain` says
    hash: row.hash,
    seal: row.seal,
    ...(withValues && row.named_values !== null && { values: JSON.parse(row.named_values) }),
  }));
}

const shortTime = 5000;

/** Whether so few entries are of the time that is asked for that all of them can be looked at. */
async function isShortTime(db: Kysely<AuditSchema>, filter: AuditFilter): Promise<boolean> {
  const { tenant, fromMs, toMs } = filter;
  if (fromMs === undefined && toMs === undefined) return false;
  const found = await db
    .selectFrom(
      matching(db, { tenant, fromMs, toMs }, true)
        .select('seq')
        .limit(shortTime + 1)
        .as('some'),
    )
    .select(each => each.fn.countAll().as('count'))
    .executeTakeFirstOrThrow();
  return Number(found.count) <= shortTime;
}

/**
 * Entries come in the order of the chain, which is only nearly the order of time. Found by time they have to be sorted: right for few, and
 * where the chain would be walked through all that is newer (or older) first. Else they are filtered on a walk along the chain or an index.
 */
function isTimeIndexOfUse(filter: AuditFilter, page: EntryPage & { readonly isShortTime: boolean }): boolean {
  const isFarAway = page.newestFirst === true ? filter.toMs !== undefined : filter.fromMs !== undefined;
  const { tenant: _tenant, fromMs: _from, toMs: _to, ...equal } = filter;
  const isTimeAlone = Object.values(equal).every(value => value === undefined);
  return page.isShortTime || (isTimeAlone && isFarAway && (page.after ?? 0) === 0);
}

function matching(db: Kysely<AuditSchema>, filter: AuditFilter, byTime: boolean) {
  const equal = {
    category: filter.category,
    action: filter.action,
    outcome: filter.outcome,
    principal: filter.principal,
    key_id: filter.keyId,
    target: filter.target,
    run_id: filter.runId,
    trace_id: filter.traceId,
  } as const;
  // Expressions, so that no index is taken; and two, for PostgreSQL takes both bounds of one for a range that hardly anything is in.
  const [notBefore, before] = byTime
    ? [sql<number>`at_ms`, sql<number>`at_ms`]
    : [sql<number>`at_ms + 0`, sql<number>`at_ms - 0`];
  let query = db.selectFrom('audit_entries').where('tenant', '=', filter.tenant);
  if (filter.fromMs !== undefined) query = query.where(notBefore, '>=', filter.fromMs);
  if (filter.toMs !== undefined) query = query.where(before, '<', filter.toMs);
  for (const [column, value] of Object.entries(equal)) {
    if (value === undefined) continue;
    query = query.where(column as keyof typeof equal, '=', columnText(value)); // a key of the object above
  }
  for (const [column, usual] of Object.entries(usualValues)) {
    const value = equal[column as keyof typeof usualValues]; // a key of that object
    // As it is written in the definition of the index, or it is not taken.
    if (value !== undefined && value !== usual) query = query.where(sql.ref(column), '<>', sql.lit(usual));
  }
  return query;
}

const exportPage = 1000;

/**
 * A chain, or the part of it that matches, as JSON lines: an entry a line. Without `withValues` the export is redacted and its hashes still
 * verify: the hash of an entry is the SHA-256 of its `record` as canonical JSON (RFC 8785), and each record names the hash before it.
 */
export async function* exportEntries(
  db: Kysely<AuditSchema>,
  filter: AuditFilter,
  options: { readonly withValues: boolean },
): AsyncGenerator<string> {
  let after = 0;
  const page = { limit: exportPage, isShortTime: await isShortTime(db, filter), ...options };
  for (;;) {
    const entries = await readPage(db, filter, { ...page, after });
    if (entries.length > 0) yield `${entries.map(entry => JSON.stringify(entry)).join('\n')}\n`;
    if (entries.length < exportPage) return;
    after = entries.at(-1)?.seq ?? after;
  }
}
