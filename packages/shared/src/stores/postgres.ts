import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import pg from 'pg';
import { parseInteger } from './integers.ts';
import { PostgresDriver } from './postgres-driver.ts';
import type { OpenedDatabase } from './sql.ts';
import type { StoreConfig } from './store-section.ts';

const idleTimeoutMs = 30_000;
/** The server ends a statement first; this is for a server that does not answer at all. */
const hungServerGraceMs = 1000;
const int8 = 20;
const numeric = 1700;

/** A pool of PostgreSQL connections. Every wait has an end: for a connection, for a statement, for a forgotten transaction. */
export function openPostgres(url: string, config: StoreConfig): OpenedDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: config.pool_size,
    connectionTimeoutMillis: config.connect_timeout_ms,
    statement_timeout: config.statement_timeout_ms,
    query_timeout: config.statement_timeout_ms + hungServerGraceMs,
    idle_in_transaction_session_timeout: config.statement_timeout_ms,
    idleTimeoutMillis: idleTimeoutMs,
    application_name: 'strata',
    keepAlive: true,
    types: { getTypeParser: (id, format) => parserOf(id) ?? pg.types.getTypeParser(id, format) },
  });
  // A connection that breaks while idle is dropped by the pool; the next query opens another or says that the store is away.
  pool.on('error', () => {});
  const driver = new PostgresDriver(pool, { acquireTimeoutMs: config.acquire_timeout_ms });
  return {
    name: 'postgres',
    usage: () => driver.usage,
    dialect: {
      createDriver: () => driver,
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: db => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  };
}

/** `numeric` is what `sum` of integers gives here: whole, it reads as SQLite's integer does. */
function parserOf(typeId: number): ((text: string) => unknown) | undefined {
  if (typeId === int8) return parseInteger;
  if (typeId === numeric) return text => (/^-?\d+$/.test(text) ? parseInteger(text) : text);
  return undefined;
}
