import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { GatewayError } from '../errors/gateway-error.ts';
import type { OpenedDatabase } from './sql.ts';
import type { StoreConfig } from './store-section.ts';

const maxPreparedStatements = 200;
const maxBusyWaitMs = 4;

/**
 * One SQLite file, shared by the processes of this machine: write-ahead log, every commit on disk (synchronous=FULL). Calls are
 * synchronous inside, one at a time; a transaction takes the write lock at its start, so it can never fail half-way because
 * another process wrote meanwhile.
 */
export function openSqlite(path: string, config: Pick<StoreConfig, 'busy_timeout_ms'>): OpenedDatabase {
  return {
    name: 'sqlite',
    dialect: {
      createDriver: () => new SqliteDriver(path, config.busy_timeout_ms),
      createAdapter: () => new SqliteAdapter(),
      createIntrospector: db => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  };
}

class SqliteDriver implements Driver {
  readonly #path: string;
  readonly #busyTimeoutMs: number;
  #connection: SqliteConnection | undefined;
  #turn: Promise<void> = Promise.resolve();
  #done: () => void = () => {};

  constructor(path: string, busyTimeoutMs: number) {
    this.#path = path;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  async init(): Promise<void> {
    const database = new DatabaseSync(this.#path, {
      timeout: this.#busyTimeoutMs,
      enableForeignKeyConstraints: true,
    });
    database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma trusted_schema = off');
    database.exec('pragma busy_timeout = 0'); // from here on waits are asynchronous
    this.#connection = new SqliteConnection(database, this.#busyTimeoutMs);
  }

  /** One holder at a time: a query between the statements of somebody's transaction would become part of it. */
  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#turn;
    let done: () => void = () => {};
    this.#turn = new Promise(resolve => {
      done = resolve;
    });
    await before;
    this.#done = done;
    if (this.#connection === undefined) throw new Error('The database is not open');
    return this.#connection;
  }

  async releaseConnection(): Promise<void> {
    this.#done();
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async destroy(): Promise<void> {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

interface Prepared {
  readonly statement: StatementSync;
  readonly isReader: boolean;
}

class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #busyTimeoutMs: number;
  readonly #prepared = new Map<string, Prepared>();

  constructor(database: DatabaseSync, busyTimeoutMs: number) {
    this.#database = database;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  /**
   * Waits for other writers without blocking the event loop: the holder of the lock may live in this very process. Inside a
   * transaction nobody else holds it.
   */
  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const giveUpAt = performance.now() + this.#busyTimeoutMs;
    for (;;) {
      try {
        return this.#execute<Row>(query);
      } catch (error) {
        if (!isBusy(error) || performance.now() >= giveUpAt) throw toGatewayError(error);
      }
      await sleep(1 + Math.random() * maxBusyWaitMs);
    }
  }

  #execute<Row>(query: CompiledQuery): QueryResult<Row> {
    const { statement, isReader } = this.#prepare(query.sql);
    const parameters = query.parameters as SQLInputValue[]; // Kysely hands on what the typed query was given
    if (isReader) return { rows: statement.all(...parameters).map(narrowIntegers) as Row[] }; // rows as the schema types them
    const { changes } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes) };
  }

  async *streamQuery<Row>(query: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
    yield await this.executeQuery(query);
  }

  close(): void {
    this.#prepared.clear();
    this.#database.close();
  }

  #prepare(text: string): Prepared {
    const known = this.#prepared.get(text);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(text);
    statement.setReadBigInts(true);
    const made = { statement, isReader: statement.columns().length > 0 };
    const [oldest] = this.#prepared.keys();
    if (this.#prepared.size >= maxPreparedStatements && oldest !== undefined) this.#prepared.delete(oldest);
    this.#prepared.set(text, made);
    return made;
  }
}

function narrowIntegers(row: Record<string, unknown>): Record<string, unknown> {
  for (const key in row) {
    const value = row[key];
    if (typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER)
      row[key] = Number(value);
  }
  return row;
}

/** Result codes of SQLite (sqlite.org/rescode.html); the low byte is the primary code. */
const sqliteBusy = 5;
const sqliteLocked = 6;
const sqliteFull = 13;
const sqliteIoError = 10;
const uniqueViolations = new Set([1555, 2067]);

function isBusy(error: unknown): boolean {
  return (
    error instanceof Error &&
    'errcode' in error &&
    typeof error.errcode === 'number' &&
    (error.errcode & 0xff) === sqliteBusy
  );
}

function toGatewayError(error: unknown): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  if (uniqueViolations.has(error.errcode)) {
    return new GatewayError('conflict', 'A record with this key exists already.', {
      reason: 'unique_violation',
      cause: error,
    });
  }
  if ([sqliteBusy, sqliteLocked, sqliteFull, sqliteIoError].includes(error.errcode & 0xff)) {
    return new GatewayError('overloaded', 'The store cannot be written right now.', {
      reason: 'store_unavailable',
      retryAfterMs: 1000,
      cause: error,
    });
  }
  return error;
}
