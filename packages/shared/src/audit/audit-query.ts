import type { Kysely } from 'kysely';
import type { JsonValue } from '../json/canonical-json.ts';
import { columnText } from '../stores/column-text.ts';
import type { AuditCategory, AuditOutcome, AuditRecord } from './audit-record.ts';
import type { AuditSchema } from './audit-schema.ts';

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

/** Entries in the order of the chain, from the one after `after`; or backwards, from the one before it. */
export async function listEntries(
  db: Kysely<AuditSchema>,
  filter: AuditFilter,
  page: {
    readonly after?: number | undefined;
    readonly limit: number;
    readonly newestFirst?: boolean;
    readonly withValues?: boolean;
  },
): Promise<AuditEntry[]> {
  const { after, limit, newestFirst = false, withValues = false } = page;
  const rows = await matching(db, filter)
    .leftJoin('audit_sensitive', 'audit_sensitive.id', 'audit_entries.id')
    .select(['audit_entries.seq', 'record', 'hash', 'seal', 'audit_sensitive.named_values'])
    .$if(after !== undefined, each => each.where('audit_entries.seq', newestFirst ? '<' : '>', after ?? 0))
    .orderBy('audit_entries.seq', newestFirst ? 'desc' : 'asc')
    .limit(limit)
    .execute();
  return rows.map(row => ({
    seq: row.seq,
    record: JSON.parse(row.record) as AuditRecord, // as `recordOf` wrote it; whether it still is, `verifyChain` says
    hash: row.hash,
    seal: row.seal,
    ...(withValues && row.named_values !== null && { values: JSON.parse(row.named_values) }),
  }));
}

function matching(db: Kysely<AuditSchema>, filter: AuditFilter) {
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
  let query = db.selectFrom('audit_entries').where('audit_entries.tenant', '=', filter.tenant);
  if (filter.fromMs !== undefined) query = query.where('at_ms', '>=', filter.fromMs);
  if (filter.toMs !== undefined) query = query.where('at_ms', '<', filter.toMs);
  for (const [column, value] of Object.entries(equal)) {
    if (value === undefined) continue;
    query = query.where(column as keyof typeof equal, '=', columnText(value)); // a key of the object above
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
  for (;;) {
    const entries = await listEntries(db, filter, { after, limit: exportPage, ...options });
    if (entries.length > 0) yield `${entries.map(entry => JSON.stringify(entry)).join('\n')}\n`;
    if (entries.length < exportPage) return;
    after = entries.at(-1)?.seq ?? after;
  }
}
