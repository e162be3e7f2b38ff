import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import { type MigrationSet, migrate } from './migrations.ts';
import type { SqlStore } from './sql.ts';

/** Adds the tables of one gateway to the store that it shares with the others. Processes that start together wait for one another. */
export async function openOwnTables<Schema, Shared>(
  sql: SqlStore<Shared>,
  migrations: readonly MigrationSet[],
  clock: Clock,
): Promise<SqlStore<Shared & Schema>> {
  // Kysely's type says which tables there are; after this there are more of them.
  const { db } = sql as unknown as { db: Kysely<unknown> };
  await migrate(db, sql.dialect, migrations, clock);
  return sql as unknown as SqlStore<Shared & Schema>;
}
