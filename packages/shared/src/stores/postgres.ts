import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  PostgresDialect,
  type QueryResult,
} from 'kysely';
import pg from 'pg';
import { GatewayError } from '../errors/gateway-error.ts';
import type { OpenedDatabase } from './sql.ts';
import type { StoreConfig } from './store-section.ts';

const idleTimeoutMs = 30_000;
const int8TypeId = 20;

/** A pool of PostgreSQL connections. Every wait has an end: for a connection, for a statement. */
export function openPostgres(url: string, config: StoreConfig): OpenedDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: config.pool_size,
    connectionTimeoutMillis: config.acquire_timeout_ms,
    statement_timeout: config.statement_timeout_ms,
    query_timeout: config.statement_timeout_ms + 1000,
    idleTimeoutMillis: idleTimeoutMs,
    application_name: 'strata',
    keepAlive: true,
    types: {
      getTypeParser: (id, format) => (id === int8TypeId ? parseInteger : pg.types.getTypeParser(id, format)),
    },
  });
  // A connection that breaks while idle is dropped by the pool; the next query opens another or says that the store is away.
  pool.on('error', () => {});
  const dialect = new PostgresDialect({ pool });
  return {
    name: 'postgres',
    dialect: {
      createDriver: () => explainErrors(dialect.createDriver()),
      createAdapter: () => dialect.createAdapter(),
      createIntrospector: db => dialect.createIntrospector(db),
      createQueryCompiler: () => dialect.createQueryCompiler(),
    },
  };
}

function parseInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** The driver, with every error as a GatewayError where its code says what it is. */
function explainErrors(driver: Driver): Driver {
  const connections = new WeakMap<DatabaseConnection, DatabaseConnection>();
  const inner = new WeakMap<DatabaseConnection, DatabaseConnection>();
  const unwrap = (connection: DatabaseConnection) => inner.get(connection) ?? connection;
  return {
    init: options => driver.init(options),
    async acquireConnection(options) {
      const connection = await driver.acquireConnection(options).catch(rethrow);
      const known = connections.get(connection);
      if (known !== undefined) return known;
      const wrapped: DatabaseConnection = {
        executeQuery: <Row>(query: CompiledQuery): Promise<QueryResult<Row>> =>
          connection.executeQuery<Row>(query).catch(rethrow),
        streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
      };
      connections.set(connection, wrapped);
      inner.set(wrapped, connection);
      return wrapped;
    },
    beginTransaction: (connection, settings) =>
      driver.beginTransaction(unwrap(connection), settings).catch(rethrow),
    commitTransaction: connection => driver.commitTransaction(unwrap(connection)).catch(rethrowUnknownCommit),
    rollbackTransaction: connection => driver.rollbackTransaction(unwrap(connection)).catch(rethrow),
    releaseConnection: connection => driver.releaseConnection(unwrap(connection)),
    destroy: () => driver.destroy(),
  };
}

function rethrow(error: unknown): never {
  throw toGatewayError(error);
}

/** The connection broke after COMMIT was sent: whether it happened is not known (F17). The caller must read before it repeats. */
function rethrowUnknownCommit(error: unknown): never {
  const explained = toGatewayError(error);
  if (explained instanceof GatewayError && explained.reason === 'store_unavailable') {
    throw new GatewayError(
      'overloaded',
      'The store went away during a commit; whether it took effect is not known.',
      {
        reason: 'commit_unknown',
        cause: error,
      },
    );
  }
  throw explained;
}

const uniqueViolation = '23505';
/** Classes of SQLSTATE (appendix A of the PostgreSQL manual): connection, resources, operator intervention. */
const unavailableClasses = ['08', '53', '57'];
const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EHOSTUNREACH',
]);

function toGatewayError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof GatewayError) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === uniqueViolation) {
    return new GatewayError('conflict', 'A record with this key exists already.', {
      reason: 'unique_violation',
      cause: error,
    });
  }
  // `pg` gives errors of its own (a pool or query timeout, a connection that ended) no code; those of the server have one.
  if (
    code === undefined ||
    socketCodes.has(code) ||
    unavailableClasses.some(prefix => code.startsWith(prefix))
  ) {
    return new GatewayError('overloaded', 'The store cannot be reached right now.', {
      reason: 'store_unavailable',
      retryAfterMs: 1000,
      cause: error,
    });
  }
  return error;
}
