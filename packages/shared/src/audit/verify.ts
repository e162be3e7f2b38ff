import type { Kysely } from 'kysely';
import type { EnvelopeKeys } from '../identity/envelope-keys.ts';
import type { AuditKeys } from './audit-keys.ts';
import type { AuditSchema } from './audit-schema.ts';
import { ChainCheck, type ChainFinding, type ChainRow, genuineRecord } from './chain-check.ts';
import { readCheckpoint } from './checkpoints.ts';

export interface VerifyDeps {
  readonly db: Kysely<AuditSchema>;
  readonly keys: AuditKeys;
  readonly signing: Pick<EnvelopeKeys, 'publicKey'>;
}

export interface VerifyQuery {
  readonly tenant: string;
  /** Entries from this moment up to, not including, that one; the whole chain where they are left out. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  /** Tokens of checkpoints that were kept elsewhere. */
  readonly anchors?: readonly string[] | undefined;
}

export interface ChainReport {
  readonly tenant: string;
  readonly checked: number;
  /** Checkpoints in the range that a gateway has signed. */
  readonly checkpoints: number;
  readonly findings: readonly ChainFinding[];
  /** False when so much is wrong that the check ended early. */
  readonly isComplete: boolean;
}

const pageSize = 2000;

/** Every tenant that anything is recorded of: a chain whose head was removed is still found. */
export async function auditedTenants(db: Kysely<AuditSchema>): Promise<string[]> {
  const rows = await db
    .selectFrom('audit_heads')
    .select('tenant')
    .union(db.selectFrom('audit_entries').select('tenant'))
    .union(db.selectFrom('audit_checkpoints').select('tenant'))
    .orderBy('tenant')
    .execute();
  return rows.map(row => row.tenant);
}

/** Reads a chain from the store, a page at a time, and says what is wrong with it. The chain may grow meanwhile. */
export async function verifyChain(deps: VerifyDeps, query: VerifyQuery): Promise<ChainReport> {
  const { tenant } = query;
  const { from, to } = await placesOf(deps.db, query);
  const check = new ChainCheck({
    tenant,
    keys: deps.keys,
    from,
    before: await hashAt(deps, tenant, from - 1),
  });
  const anchors = (query.anchors ?? []).map(token => ({ seq: undefined, token }));
  const signed = await readSigned(deps, check, tenant, anchors);
  let atLeast = Math.max(0, ...signed.keys());
  let checkpoints = signed.size;
  let after = from - 1;
  for (;;) {
    const page = await readPage(deps.db, { tenant, after, to });
    for (const [seq, hash] of await readSigned(deps, check, tenant, page.checkpoints)) {
      signed.set(seq, hash);
      atLeast = Math.max(atLeast, seq);
      checkpoints++;
    }
    for (const row of page.rows) check.row(row, signed.get(row.seq));
    for (const { seq } of page.checkpoints) if (seq !== undefined) signed.delete(seq); // anchors stay, pages pass
    after = page.rows.at(-1)?.seq ?? after;
    if (page.isLast || check.isHopeless)
      return {
        tenant,
        checked: check.checked,
        checkpoints,
        findings: check.finish({ head: page.head, atLeast, to }),
        isComplete: !check.isHopeless,
      };
  }
}

/** The places that belong to the moments of the query. */
async function placesOf(
  db: Kysely<AuditSchema>,
  { tenant, fromMs, toMs }: VerifyQuery,
): Promise<{ from: number; to: number | undefined }> {
  const ofTenant = db.selectFrom('audit_entries').where('tenant', '=', tenant);
  const first =
    fromMs === undefined
      ? undefined
      : await ofTenant.select('seq').where('at_ms', '>=', fromMs).orderBy('seq').limit(1).executeTakeFirst();
  const last =
    toMs === undefined
      ? undefined
      : await ofTenant
          .select('seq')
          .where('at_ms', '<', toMs)
          .orderBy('seq', 'desc')
          .limit(1)
          .executeTakeFirst();
  const from = fromMs === undefined ? 1 : (first?.seq ?? (await lastPlace(db, tenant)) + 1);
  return { from, to: toMs === undefined ? undefined : (last?.seq ?? 0) };
}

async function lastPlace(db: Kysely<AuditSchema>, tenant: string): Promise<number> {
  const last = await db
    .selectFrom('audit_entries')
    .select('seq')
    .where('tenant', '=', tenant)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last?.seq ?? 0;
}

async function hashAt({ db, keys }: VerifyDeps, tenant: string, seq: number): Promise<string | undefined> {
  if (seq < 1) return undefined;
  const row = await selectRows(db).where('tenant', '=', tenant).where('seq', '=', seq).executeTakeFirst();
  return row !== undefined && genuineRecord(row, tenant, keys)?.seq === seq ? row.hash : undefined;
}

interface Page {
  readonly rows: readonly ChainRow[];
  readonly checkpoints: readonly { readonly seq: number; readonly token: string }[];
  readonly head: AuditSchema['audit_heads'] | undefined;
  readonly isLast: boolean;
}

interface PageQuery {
  readonly tenant: string;
  readonly after: number;
  readonly to: number | undefined;
}

/** The end of the chain is read while nobody can append, so that entries, checkpoints and head belong together. */
async function readPage(db: Kysely<AuditSchema>, query: PageQuery): Promise<Page> {
  const page = await readRows(db, query);
  if (!page.isLast) return page;
  return db.transaction().execute(async transaction => {
    const head = await transaction
      .selectFrom('audit_heads')
      .selectAll()
      .where('tenant', '=', query.tenant)
      .forUpdate()
      .executeTakeFirst();
    return { ...(await readRows(transaction, query)), head };
  });
}

async function readRows(db: Kysely<AuditSchema>, { tenant, after, to }: PageQuery): Promise<Page> {
  const rows = await selectRows(db)
    .where('tenant', '=', tenant)
    .where('seq', '>', after)
    .$if(to !== undefined, each => each.where('seq', '<=', to ?? 0))
    .orderBy('seq')
    .limit(pageSize)
    .execute();
  const isLast = rows.length < pageSize;
  const upTo = isLast ? to : rows.at(-1)?.seq;
  const checkpoints = await db
    .selectFrom('audit_checkpoints')
    .select(['seq', 'token'])
    .where('tenant', '=', tenant)
    .where('seq', '>', after)
    .$if(upTo !== undefined, each => each.where('seq', '<=', upTo ?? 0))
    .execute();
  return { rows, checkpoints, head: undefined, isLast };
}

function selectRows(db: Kysely<AuditSchema>) {
  return db
    .selectFrom('audit_entries')
    .leftJoin('audit_sensitive', 'audit_sensitive.id', 'audit_entries.id')
    .selectAll('audit_entries')
    .select('audit_sensitive.named_values');
}

/** What good checkpoints say, by place. One that is not good, or says another place than it stands at, is a finding. */
export async function readSigned(
  { signing }: Pick<VerifyDeps, 'signing'>,
  check: ChainCheck,
  tenant: string,
  tokens: readonly { readonly seq: number | undefined; readonly token: string }[],
): Promise<Map<number, string>> {
  const signed = new Map<number, string>();
  for (const { seq, token } of tokens) {
    const checkpoint = await readCheckpoint(signing, token);
    const isGood = checkpoint?.tenant === tenant && (seq === undefined || checkpoint.seq === seq);
    if (checkpoint !== undefined && isGood) signed.set(checkpoint.seq, checkpoint.hash);
    else check.checkpointForged(seq ?? checkpoint?.seq ?? 0);
  }
  return signed;
}
