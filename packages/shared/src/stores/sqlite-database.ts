import { closeSync, openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledQuery, QueryResult } from 'kysely';
import { DiskSync } from './disk-sync.ts';
import { narrowInteger } from './integers.ts';
import { explainCommitError, explainSqliteError, isBusy } from './sqlite-errors.ts';
import { commitUnknown } from './store-errors.ts';

const maxPreparedStatements = 200;
const maxBusyWaitMs = 4;
const walSizeLimitBytes = 64 * 1024 * 1024;
/** Of a reader: reports visit many pages, some of them again and again. Taken only as far as it is used. */
const readerCacheKib = 32 * 1024;

interface Prepared {
  readonly statement: StatementSync;
  readonly isReader: boolean;
}

/**
 * One connection to the file, with a write-ahead log. Calls are synchronous inside; what waits is not, because this process has more to do:
 * not the wait for another process, which may itself be waiting for this one, and not the wait for the disk. So the engine leaves the log
 * unsynced (`synchronous = normal`) and `settled` says when what was committed is on the disk. Such waits are real time.
 */
export class SqliteDatabase {
  readonly #database: DatabaseSync;
  readonly #busyTimeoutMs: number;
  readonly #prepared = new Map<string, Prepared>();
  /** Of a writer. */
  #log: { readonly file: FileHandle; readonly disk: DiskSync } | undefined;

  private constructor(database: DatabaseSync, busyTimeoutMs: number) {
    this.#database = database;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  static async open(
    path: string,
    options: { readOnly: boolean; busyTimeoutMs: number },
  ): Promise<SqliteDatabase> {
    const { readOnly, busyTimeoutMs } = options;
    if (!readOnly) closeSync(openSync(path, 'a', 0o600)); // the log and the index of it inherit the mode
    const database = new DatabaseSync(path, { readOnly, timeout: 0, enableForeignKeyConstraints: true });
    const opened = new SqliteDatabase(database, busyTimeoutMs);
    try {
      await opened.#patiently(() => database.exec('pragma trusted_schema = off'));
      if (readOnly) database.exec(`pragma cache_size = -${readerCacheKib}`);
      else {
        // To become a write-ahead log takes the whole file for a moment: of several first starters, some must wait.
        await opened.#patiently(() => database.exec('pragma journal_mode = wal'));
        database.exec(`pragma synchronous = normal; pragma journal_size_limit = ${walSizeLimitBytes}`);
        // Before each statement of many rows the engine keeps the pages that it changes: of a file, two writes a page.
        database.exec('pragma temp_store = memory');
        await opened.#patiently(() => database.exec('begin immediate; commit')); // now there is a log
        await opened.#openLog(path);
      }
    } catch (error) {
      database.close();
      throw explainSqliteError(error);
    }
    return opened;
  }

  get isInTransaction(): boolean {
    return this.#database.isTransaction;
  }

  async execute<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      return await this.#patiently(() => this.#run<Row>(query));
    } catch (error) {
      throw explainSqliteError(error);
    }
  }

  /** Takes the write lock at once, so that a transaction cannot fail half-way because somebody else wrote meanwhile. */
  async begin(): Promise<void> {
    try {
      await this.#patiently(() => this.#database.exec('begin immediate'));
    } catch (error) {
      throw explainSqliteError(error);
    }
  }

  async commit(): Promise<void> {
    try {
      await this.#patiently(() => this.#database.exec('commit'));
    } catch (error) {
      throw explainCommitError(error);
    }
  }

  /** Resolves when all that was committed is on the disk. @throws GatewayError internal (`commit_unknown`) */
  async settled(): Promise<void> {
    try {
      await this.#log?.disk.done();
    } catch (error) {
      throw commitUnknown(error);
    }
  }

  /** Does nothing where the engine has rolled back by itself. */
  rollback(): void {
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  async close(): Promise<void> {
    this.#prepared.clear();
    await this.settled().finally(() => this.#database.close());
    await this.#log?.file.close();
  }

  /** The log lives as long as a connection is open. Its place in the folder must outlive a power cut as well. */
  async #openLog(path: string): Promise<void> {
    const folder = await open(dirname(path));
    await folder.sync().finally(() => folder.close());
    const file = await open(`${path}-wal`, 'r+');
    this.#log = { file, disk: new DiskSync(() => file.datasync()) };
  }

  async #patiently<T>(work: () => T): Promise<T> {
    const giveUpAtMs = performance.now() + this.#busyTimeoutMs;
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || performance.now() >= giveUpAtMs) throw error;
      }
      await sleep(1 + Math.random() * maxBusyWaitMs); // apart, so that processes do not try in step
    }
  }

  #run<Row>(query: CompiledQuery): QueryResult<Row> {
    const { statement, isReader } = this.#prepare(query.sql);
    const parameters = query.parameters as SQLInputValue[]; // Kysely hands on what the typed query was given
    if (isReader) return { rows: statement.all(...parameters).map(narrowIntegers) as Row[] }; // rows as the schema types them
    const { changes } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes) };
  }

  #prepare(text: string): Prepared {
    const known = this.#prepared.get(text);
    if (known !== undefined) {
      this.#prepared.delete(text); // to the end: the one used longest ago stands first
      this.#prepared.set(text, known);
      return known;
    }
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
    if (typeof value === 'bigint') row[key] = narrowInteger(value);
  }
  return row;
}
