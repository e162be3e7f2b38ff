import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely';
import { SqliteDatabase } from './sqlite-database.ts';
import { storeUnavailable } from './store-errors.ts';
import { createTurns, type Release, type Turns } from './turns.ts';

interface SqliteDriverOptions {
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/** What is open while the driver is. */
interface Opened {
  readonly writer: SqliteDatabase;
  /** Reads outside transactions see the last commit and wait for nobody. */
  readonly reader: SqliteDatabase;
}

/**
 * Two connections to one file. Everything that may write takes turns on the first, a transaction for its whole length: a statement
 * in between would become part of it. Processes take turns by SQLite's own lock.
 */
export class SqliteDriver implements Driver {
  readonly #options: SqliteDriverOptions;
  readonly #turns: Turns;
  #opened: Opened | undefined;

  constructor(options: SqliteDriverOptions) {
    this.#options = options;
    this.#turns = createTurns({
      maxWaitMs: options.busyTimeoutMs,
      onTimeout: () => storeUnavailable(new Error('The writers of this process did not finish in time')),
    });
  }

  get usage() {
    return { size: 1, idle: this.#turns.isTaken ? 0 : 1, waiting: this.#turns.waiting };
  }

  async init(): Promise<void> {
    const { path, busyTimeoutMs } = this.#options;
    const writer = await SqliteDatabase.open(path, { readOnly: false, busyTimeoutMs });
    try {
      this.#opened = { writer, reader: await SqliteDatabase.open(path, { readOnly: true, busyTimeoutMs }) };
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#opened === undefined) throw storeUnavailable(new Error('The store is closed'));
    return new SqliteConnection(this.#opened, this.#turns);
  }

  async releaseConnection(): Promise<void> {}

  beginTransaction(connection: SqliteConnection): Promise<void> {
    return connection.begin();
  }

  commitTransaction(connection: SqliteConnection): Promise<void> {
    return connection.commit();
  }

  rollbackTransaction(connection: SqliteConnection): Promise<void> {
    return connection.rollback();
  }

  async destroy(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) return;
    const release = await this.#turns.take(); // whoever is writing finishes
    await opened.reader.close();
    await opened.writer.close();
    release();
  }
}

/** What one caller sees: it holds the turn only while it needs it. */
class SqliteConnection implements DatabaseConnection {
  readonly #opened: Opened;
  readonly #turns: Turns;
  #turn: Release | undefined;

  constructor(opened: Opened, turns: Turns) {
    this.#opened = opened;
    this.#turns = turns;
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const { writer, reader } = this.#opened;
    if (this.#turn !== undefined) return writer.execute(query);
    if (query.query.kind === 'SelectQueryNode') return reader.execute(query);
    const release = await this.#turns.take();
    const result = await writer.execute<Row>(query).finally(release);
    await writer.settled();
    return result;
  }

  // biome-ignore lint/correctness/useYield: neither dialect streams
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('The SQL port does not stream: read pages by key');
  }

  async begin(): Promise<void> {
    const release = await this.#turns.take();
    try {
      await this.#opened.writer.begin();
      this.#turn = release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The turn is over before the disk is done, so that those who come next share its work. */
  async commit(): Promise<void> {
    await this.#opened.writer.commit();
    this.#leave();
    await this.#opened.writer.settled();
  }

  async rollback(): Promise<void> {
    if (this.#turn === undefined) return; // committed; only the disk failed
    try {
      this.#opened.writer.rollback();
    } finally {
      this.#leave();
    }
  }

  #leave(): void {
    this.#turn?.();
    this.#turn = undefined;
  }
}
