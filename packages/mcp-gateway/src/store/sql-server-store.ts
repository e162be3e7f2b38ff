import type { Clock } from '@strata/shared/clock.ts';
import type { ServerSchema } from '@strata/shared/registry/server-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { ServerState, ServerStore } from '../domain/registered-server.ts';
import type { Sealer } from '../domain/sealer.ts';

const purpose = 'server definition';
const never = Number.MAX_SAFE_INTEGER;

/** Definitions hold credentials and are sealed; whoever reads the database alone does not get them. */
export function createSqlServerStore(deps: {
  readonly sql: SqlStore<ServerSchema>;
  readonly sealer: Sealer;
  readonly clock: Clock;
}): ServerStore {
  const { sql, sealer, clock } = deps;
  return {
    async list() {
      const rows = await sql.db.selectFrom('mcp_servers').selectAll().orderBy('name').execute();
      return rows.map(({ name, config, state, revision }) => ({
        name,
        config: config === null ? undefined : sealer.open(purpose, name, config, clock.now()),
        state: state as ServerState, // written by `put` only
        revision,
      }));
    },
    async put({ name, config, state }) {
      const row = {
        config: config === undefined ? null : sealer.seal(purpose, name, config, never),
        state,
        changed_at_ms: clock.now(),
      };
      await sql.db
        .insertInto('mcp_servers')
        .values({ name, revision: 1, ...row })
        .onConflict(conflict =>
          conflict.column('name').doUpdateSet(({ eb }) => ({
            ...row,
            revision: eb('mcp_servers.revision', '+', 1),
          })),
        )
        .execute();
    },
    async remove(name) {
      const { numDeletedRows } = await sql.db
        .deleteFrom('mcp_servers')
        .where('name', '=', name)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}
