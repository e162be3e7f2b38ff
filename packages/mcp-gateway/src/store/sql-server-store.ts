import type { Clock } from '@strata/shared/clock.ts';
import type { ServerSchema } from '@strata/shared/registry/server-schema.ts';
import type { Sealer } from '@strata/shared/sealer.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { ServerStore, StoredState } from '../domain/registered-server.ts';

/** Definitions hold credentials and are sealed; whoever reads the database alone does not get them. */
export function createSqlServerStore(deps: {
  readonly sql: SqlStore<ServerSchema>;
  readonly sealer: Sealer;
  readonly clock: Clock;
}): ServerStore {
  const { sql, sealer, clock } = deps;
  const purpose = (name: string) => `mcp/server/${name}`;
  const open = (name: string, sealed: string | null): unknown => {
    const text = sealed === null ? undefined : sealer.open(purpose(name), sealed);
    return text === undefined ? undefined : JSON.parse(text);
  };
  return {
    async list() {
      const rows = await sql.db.selectFrom('mcp_servers').selectAll().orderBy('name').execute();
      return rows.map(({ name, config, state, revision }) => ({
        name,
        config: open(name, config),
        state: state as StoredState, // written here only
        revision,
      }));
    },
    async put({ name, config, state }, record) {
      const row = {
        config: config === undefined ? null : sealer.seal(purpose(name), JSON.stringify(config)),
        state,
        changed_at_ms: clock.now(),
      };
      await sql.db.transaction().execute(async transaction => {
        await transaction
          .insertInto('mcp_servers')
          .values({ name, revision: 1, ...row })
          .onConflict(conflict =>
            conflict.column('name').doUpdateSet(({ eb }) => ({
              ...row,
              revision: eb('mcp_servers.revision', '+', 1),
            })),
          )
          .execute();
        await record(transaction);
      });
    },
    async finishDraining(name) {
      const { numUpdatedRows } = await sql.db
        .updateTable('mcp_servers')
        .set(({ eb }) => ({
          state: 'drained',
          revision: eb('revision', '+', 1),
          changed_at_ms: clock.now(),
        }))
        .where('name', '=', name)
        .where('state', '=', 'draining')
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async remove(name, record) {
      await sql.db.transaction().execute(async transaction => {
        await transaction.deleteFrom('mcp_servers').where('name', '=', name).execute();
        await record(transaction);
      });
    },
  };
}
