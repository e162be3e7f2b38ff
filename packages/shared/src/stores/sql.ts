import type { Dialect, Kysely } from 'kysely';

/**
 * The SQL port: one query builder over SQLite and PostgreSQL, one contract (`test/contracts/sql-contract.ts`).
 *
 * - Integers come back as numbers where that is exact, else as bigint; so do whole sums.
 * - Read and then write in one transaction with `forUpdate()`: SQLite's transactions exclude each other anyway and leave it out.
 * - After a statement failed, its transaction can only end. A transaction never uses the outer `db`.
 * - Large results are read in pages by key; nothing streams. A query takes a signal: `execute({ signal })`.
 *
 * Failures are GatewayErrors: `store_unavailable`, `store_timeout`, `transaction_conflict` (nothing was changed, may be tried again),
 * `commit_unknown` (a write may have happened: read before writing again), `unique_violation`, `foreign_key_violation`,
 * `check_violation`. What else an engine says is a mistake in the program and stays as it is.
 */
export interface SqlStore<Schema> {
  readonly dialect: SqlDialect;
  readonly db: Kysely<Schema>;
  /** @throws GatewayError overloaded (`store_unavailable`), timeout (`store_timeout`). */
  ping(signal?: AbortSignal): Promise<void>;
  usage(): StoreUsage;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

export type SqlDialect = 'sqlite' | 'postgres';

/** Connections that may write: open, not in use, and callers who wait for one. */
export interface StoreUsage {
  readonly size: number;
  readonly idle: number;
  readonly waiting: number;
}

/** What an adapter gives. */
export interface OpenedDatabase {
  readonly dialect: Dialect;
  readonly name: SqlDialect;
  usage(): StoreUsage;
}
