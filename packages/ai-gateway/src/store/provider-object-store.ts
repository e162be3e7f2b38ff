import type { Clock } from '@strata/shared/clock.ts';
import type { ConversationSchema } from '@strata/shared/conversations/conversation-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type {
  ObjectFacts,
  ObjectKind,
  ProviderObject,
  ProviderObjectStore,
} from '../domain/provider-object.ts';

type Row = ConversationSchema['provider_objects'];

/** Ownership in the shared store, so that any replica knows it. */
export function createProviderObjectStore(deps: {
  sql: SqlStore<ConversationSchema>;
  clock: Clock;
}): ProviderObjectStore {
  const { db } = deps.sql;
  return {
    async save(saved) {
      const row = {
        provider: saved.provider,
        credential: saved.credential,
        created_at_ms: saved.createdAtMs,
        checked_at_ms: deps.clock.now(),
        is_settled: saved.isSettled ? 1 : 0,
        object: JSON.stringify(saved.object),
        facts: JSON.stringify(saved.facts),
      };
      await db
        .insertInto('provider_objects')
        .values({ ...saved.owner, kind: saved.kind, id: saved.id, ...row })
        .onConflict(conflict => conflict.columns(['tenant', 'principal', 'kind', 'id']).doUpdateSet(row))
        .execute();
    },
    async find({ tenant, principal }, kind, id) {
      const row = await db
        .selectFrom('provider_objects')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('principal', '=', principal)
        .where('kind', '=', kind)
        .where('id', '=', id)
        .executeTakeFirst();
      return row && toObject(row);
    },
    async list(owner, kind, { after, limit, order }) {
      const start = after === undefined ? undefined : await this.find(owner, kind, after);
      const beyond = order === 'asc' ? '>' : '<';
      let query = db
        .selectFrom('provider_objects')
        .selectAll()
        .where('tenant', '=', owner.tenant)
        .where('principal', '=', owner.principal)
        .where('kind', '=', kind);
      if (start !== undefined) {
        query = query.where(where =>
          where.or([
            where('created_at_ms', beyond, start.createdAtMs),
            where.and([where('created_at_ms', '=', start.createdAtMs), where('id', beyond, start.id)]),
          ]),
        );
      }
      const rows = await query.orderBy('created_at_ms', order).orderBy('id', order).limit(limit).execute();
      return rows.map(toObject);
    },
    async remove({ tenant, principal }, kind, id) {
      await db
        .deleteFrom('provider_objects')
        .where('tenant', '=', tenant)
        .where('principal', '=', principal)
        .where('kind', '=', kind)
        .where('id', '=', id)
        .execute();
    },
    async foreign({ tenant, principal }, kind, ids) {
      if (ids.length === 0) return [];
      const rows = await db
        .selectFrom('provider_objects')
        .select(['id', 'tenant', 'principal'])
        .where('kind', '=', kind)
        .where('id', 'in', [...ids])
        .execute();
      const own = new Set(
        rows.filter(row => row.tenant === tenant && row.principal === principal).map(row => row.id),
      );
      return [...new Set(rows.map(row => row.id))].filter(id => !own.has(id));
    },
    async unsettled(beforeMs, limit) {
      const rows = await db
        .selectFrom('provider_objects')
        .selectAll()
        .where('is_settled', '=', 0)
        .where('checked_at_ms', '<=', beforeMs)
        .orderBy('checked_at_ms')
        .limit(limit)
        .execute();
      return rows.map(toObject);
    },
  };
}

function toObject(row: Row): ProviderObject {
  return {
    owner: { tenant: row.tenant, principal: row.principal },
    kind: row.kind as ObjectKind, // as it was saved, like all that follows
    id: row.id,
    provider: row.provider,
    credential: row.credential,
    createdAtMs: Number(row.created_at_ms),
    isSettled: row.is_settled !== 0,
    object: JSON.parse(row.object) as JsonObject,
    facts: JSON.parse(row.facts) as ObjectFacts,
  };
}
