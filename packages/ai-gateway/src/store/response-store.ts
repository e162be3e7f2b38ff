import type { Clock } from '@strata/shared/clock.ts';
import type { ConversationSchema } from '@strata/shared/conversations/conversation-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import type { ResponseStore, StoredResponse } from '../domain/stored-response.ts';
import { appendTurn } from './conversation-rows.ts';

export interface ConversationStoreDeps {
  readonly sql: SqlStore<ConversationSchema>;
  readonly clock: Clock;
  /** Read once an answer. */
  ttlMs(): number;
}

/** Answers in the shared store, so that any replica can go on from them. */
export function createResponseStore(deps: ConversationStoreDeps): ResponseStore {
  const { sql, clock } = deps;
  const { db } = sql;
  return {
    async save(owner, stored, turn) {
      const times = { nowMs: clock.now(), ttlMs: deps.ttlMs() };
      if (turn === undefined) return insertResponse(db, owner, stored, times);
      await db.transaction().execute(async transaction => {
        await insertResponse(transaction, owner, stored, times);
        await appendTurn(transaction, owner, turn, times);
      });
    },
    async find({ tenant, principal }, id) {
      const row = await db
        .selectFrom('stored_responses')
        .select(['response', 'input'])
        .where('tenant', '=', tenant)
        .where('principal', '=', principal)
        .where('id', '=', id)
        .where('expires_at_ms', '>', clock.now())
        .executeTakeFirst();
      if (row === undefined) return undefined;
      return {
        id,
        response: JSON.parse(row.response) as JsonObject, // as it was saved
        input: JSON.parse(row.input) as readonly JsonObject[],
      };
    },
    async remove({ tenant, principal }, id) {
      return db.transaction().execute(async transaction => {
        for (const table of ['background_runs', 'background_events'] as const) {
          await transaction
            .deleteFrom(table)
            .where('tenant', '=', tenant)
            .where('principal', '=', principal)
            .where('id', '=', id)
            .execute();
        }
        const { numDeletedRows } = await transaction
          .deleteFrom('stored_responses')
          .where('tenant', '=', tenant)
          .where('principal', '=', principal)
          .where('id', '=', id)
          .where('expires_at_ms', '>', clock.now())
          .executeTakeFirst();
        return numDeletedRows > 0n;
      });
    },
    async sweep() {
      await db.deleteFrom('stored_responses').where('expires_at_ms', '<=', clock.now()).execute();
    },
  };
}

/** Replaces an earlier one of the same id. */
export async function insertResponse(
  db: SqlStore<ConversationSchema>['db'],
  { tenant, principal }: Owner,
  { id, response, input }: StoredResponse,
  { nowMs, ttlMs }: { nowMs: number; ttlMs: number },
): Promise<void> {
  const row = {
    created_at_ms: nowMs,
    expires_at_ms: nowMs + ttlMs,
    response: JSON.stringify(response),
    input: JSON.stringify(input),
  };
  await db
    .insertInto('stored_responses')
    .values({ tenant, principal, id, ...row })
    .onConflict(conflict => conflict.columns(['tenant', 'principal', 'id']).doUpdateSet(row))
    .execute();
}
