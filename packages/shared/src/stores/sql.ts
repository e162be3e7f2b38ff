import type { Dialect, Kysely } from 'kysely';

/**
 * The SQL port: one query builder over SQLite and PostgreSQL. Integers that fit a JavaScript number come back as numbers, larger
 * ones as bigint, from both.
 */
export interface SqlStore<Schema> {
  readonly dialect: SqlDialect;
  readonly db: Kysely<Schema>;
  /** @throws GatewayError overloaded (`store_unavailable`). */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export type SqlDialect = 'sqlite' | 'postgres';

export interface OpenedDatabase {
  readonly dialect: Dialect;
  readonly name: SqlDialect;
}
