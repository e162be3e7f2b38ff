import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { ConversationSchema } from '@strata/shared/conversations/conversation-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { ResponseStore } from '../domain/stored-response.ts';

const sweepEveryMs = 600_000;

/** Answers in the shared store, so that any replica can go on from them. */
export function createResponseStore(deps: {
  sql: SqlStore<ConversationSchema>;
  clock: Clock;
  log: Logger;
  /** Read once an answer. */
  ttlMs(): number;
}): ResponseStore {
  const { sql, clock, log } = deps;
  let timer: Scheduled = clock.schedule(sweepEveryMs, sweep);

  function sweep(): void {
    timer = clock.schedule(sweepEveryMs, sweep);
    sql.db
      .deleteFrom('stored_responses')
      .where('expires_at_ms', '<=', clock.now())
      .execute()
      .catch((error: unknown) => log.warn({ err: error }, 'expired responses could not be removed'));
  }

  return {
    async save({ tenant, principal }, { id, response, input }) {
      const now = clock.now();
      const row = {
        created_at_ms: now,
        expires_at_ms: now + deps.ttlMs(),
        response: JSON.stringify(response),
        input: JSON.stringify(input),
      };
      await sql.db
        .insertInto('stored_responses')
        .values({ tenant, principal, id, ...row })
        .onConflict(conflict => conflict.columns(['tenant', 'principal', 'id']).doUpdateSet(row))
        .execute();
    },
    async find({ tenant, principal }, id) {
      const row = await sql.db
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
      const { numDeletedRows } = await sql.db
        .deleteFrom('stored_responses')
        .where('tenant', '=', tenant)
        .where('principal', '=', principal)
        .where('id', '=', id)
        .where('expires_at_ms', '>', clock.now())
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
    close: () => timer.cancel(),
  };
}
