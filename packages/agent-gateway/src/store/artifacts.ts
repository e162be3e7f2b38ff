import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Artifact, ArtifactSummary, Artifacts } from '../domain/artifact.ts';
import type { ArtifactSchema } from './artifact-schema.ts';
import { heldBy } from './held-by.ts';

type Row = ArtifactSchema['artifacts'];
const columns = ['tenant', 'hash', 'media_type', 'bytes', 'created_at_ms', 'principal'] as const;

/** Artifacts in the store that the gateways share. */
export function createArtifacts({ db }: Pick<SqlStore<ArtifactSchema>, 'db'>): Artifacts {
  const find = async (tenant: string, hash: string) => {
    const row = await db
      .selectFrom('artifacts')
      .select(columns)
      .where('tenant', '=', tenant)
      .where('hash', '=', hash)
      .executeTakeFirst();
    return row && toSummary(row);
  };

  return {
    find,
    async put(artifact, { most, mostBytes }) {
      const found = await find(artifact.tenant, artifact.hash);
      if (found !== undefined) return { isNew: false, artifact: found };
      const held = await heldBy(artifact.tenant, { db, table: 'artifacts' });
      if (held.count >= most || held.bytes + artifact.bytes > mostBytes) return 'full';
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('artifacts')
        .values(toRow(artifact))
        .onConflict(conflict => conflict.doNothing())
        .executeTakeFirst();
      const kept = await find(artifact.tenant, artifact.hash);
      return { isNew: numInsertedOrUpdatedRows === 1n, artifact: kept ?? artifact };
    },
    async get(tenant, hash) {
      const row = await db
        .selectFrom('artifacts')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('hash', '=', hash)
        .executeTakeFirst();
      return row && { ...toSummary(row), body: row.body };
    },
    async list({ tenant, after, limit }) {
      const rows = await db
        .selectFrom('artifacts')
        .select(columns)
        .where('tenant', '=', tenant)
        .where('hash', '>', after)
        .orderBy('hash')
        .limit(limit)
        .execute();
      return rows.map(toSummary);
    },
    async delete(tenant, hash) {
      const { numDeletedRows } = await db
        .deleteFrom('artifacts')
        .where('tenant', '=', tenant)
        .where('hash', '=', hash)
        .executeTakeFirst();
      return numDeletedRows === 1n;
    },
  };
}

function toRow({ tenant, hash, mediaType, bytes, body, createdAtMs, principal }: Artifact): Row {
  return { tenant, hash, media_type: mediaType, bytes, body, created_at_ms: createdAtMs, principal };
}

function toSummary(row: Omit<Row, 'body'>): ArtifactSummary {
  return {
    tenant: row.tenant,
    hash: row.hash,
    mediaType: row.media_type,
    bytes: Number(row.bytes),
    createdAtMs: Number(row.created_at_ms),
    principal: row.principal,
  };
}
