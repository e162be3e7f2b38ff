import {
  AbortedTransactionError,
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  type RootOperationNode,
  type TransactionSettings,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { explainLostWrite, explainPostgresError, isConnectionLost } from './postgres-errors.ts';
import { storeUnavailable } from './store-errors.ts';

/** Kysely's driver over a pool that bounds every wait and never takes a broken connection back. */
export class PostgresDriver implements Driver {
  readonly #pool: Pool;
  readonly #acquireTimeoutMs: number;

  constructor(pool: Pool, options: { readonly acquireTimeoutMs: number }) {
    this.#pool = pool;
    this.#acquireTimeoutMs = options.acquireTimeoutMs;
  }

  get usage() {
    return { size: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#pool.waitingCount };
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    try {
      return new PostgresConnection(await this.#acquire());
    } catch (error) {
      throw explainPostgresError(error);
    }
  }

  async releaseConnection(connection: PostgresConnection): Promise<void> {
    connection.release();
  }

  async beginTransaction(connection: PostgresConnection, settings: TransactionSettings): Promise<void> {
    const isolation = settings.isolationLevel ? ` isolation level ${settings.isolationLevel}` : '';
    const access = settings.accessMode ? ` ${settings.accessMode}` : '';
    await connection.begin(`start transaction${isolation}${access}`);
  }

  commitTransaction(connection: PostgresConnection): Promise<void> {
    return connection.commit();
  }

  rollbackTransaction(connection: PostgresConnection): Promise<void> {
    return connection.rollback();
  }

  async destroy(): Promise<void> {
    await this.#pool.end();
  }

  /** A new connection may take as long as the network does; a place in a full pool is waited for only shortly (F16). */
  async #acquire(): Promise<PoolClient> {
    const pool = this.#pool;
    const isFull = pool.idleCount === 0 && pool.totalCount >= pool.options.max;
    const connecting = pool.connect();
    if (!isFull) return connecting;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      connecting.then(client => client.release()).catch(() => {}); // its turn came too late; a failure concerns nobody
      late.reject(storeUnavailable(new Error('All connections are in use')));
    }, this.#acquireTimeoutMs);
    return Promise.race([connecting, late.promise]).finally(() => clearTimeout(timer));
  }
}

class PostgresConnection implements DatabaseConnection {
  readonly #client: PoolClient;
  #isInTransaction = false;
  #isLost = false;
  /** A connection can break between two statements. Unheard, that would end the process. */
  readonly #onError = (): void => {
    this.#isLost = true;
  };

  constructor(client: PoolClient) {
    this.#client = client;
    client.on('error', this.#onError);
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      return await this.#send<Row>(query);
    } catch (error) {
      // Before its commit is sent a transaction has certainly not happened. A statement of its own may have.
      const mayHaveHappened = !this.#isInTransaction && mayWrite(query.query);
      throw mayHaveHappened ? explainLostWrite(error) : explainPostgresError(error);
    }
  }

  // biome-ignore lint/correctness/useYield: neither dialect streams
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('The SQL port does not stream: read pages by key');
  }

  async begin(statement: string): Promise<void> {
    try {
      await this.#send(CompiledQuery.raw(statement));
      this.#isInTransaction = true;
    } catch (error) {
      throw explainPostgresError(error);
    }
  }

  async commit(): Promise<void> {
    try {
      const command = await this.#send(CompiledQuery.raw('commit'));
      this.#isInTransaction = false;
      // A transaction in which a statement failed is not committed, although the server answers without an error.
      if (command.tag === 'ROLLBACK') throw new AbortedTransactionError();
    } catch (error) {
      throw error instanceof AbortedTransactionError ? error : explainLostWrite(error);
    }
  }

  /** Never fails: a connection that cannot roll back is closed, and the server rolls back. The error that led here is the one to tell. */
  async rollback(): Promise<void> {
    this.#isInTransaction = false;
    if (this.#isLost) return;
    await this.#send(CompiledQuery.raw('rollback')).catch(() => {
      this.#isLost = true;
    });
  }

  /** Back to the pool, or closed if it is broken or still inside a transaction. */
  release(): void {
    const isUseless = this.#isLost || this.#isInTransaction;
    // One that is thrown away may still fail on its way out, so there the listener stays.
    if (!isUseless) this.#client.off('error', this.#onError);
    this.#client.release(isUseless);
  }

  async #send<Row>(query: CompiledQuery): Promise<QueryResult<Row> & { readonly tag: string }> {
    try {
      // A copy, because the client may change the list it is given.
      const { command, rowCount, rows } = await this.#client.query(query.sql, [...query.parameters]);
      return {
        tag: command,
        rows,
        ...(rowCount !== null && command !== 'SELECT' && { numAffectedRows: BigInt(rowCount) }),
      };
    } catch (error) {
      if (isConnectionLost(error)) this.#isLost = true;
      throw error;
    }
  }
}

/** A select with a `with` clause may hold an insert; what raw SQL does is not known. */
function mayWrite(node: RootOperationNode): boolean {
  return node.kind !== 'SelectQueryNode' || node.with !== undefined;
}
