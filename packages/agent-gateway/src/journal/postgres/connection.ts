import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { isConnectionLost } from '@strata/shared/stores/postgres-errors.ts';
import pg from 'pg';
import type { Row } from '../rows.ts';
import { schemaName, schemaSteps } from './schema.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

/** Runs one statement. The name is that of its plan, which the server keeps. */
export type Query = (name: string, text: string, values: readonly unknown[]) => Promise<Row[]>;

const hungServerGraceMs = 1000;
const migrationLock = 7_083_412_904;
/** Resources, operator intervention, failure outside PostgreSQL, connection: the same statement may succeed later. */
const passingClasses = new Set(['08', '25', '40', '53', '55', '57', '58']);

export function clientSettings({ url, connectTimeoutMs, statementTimeoutMs }: ConnectionOptions) {
  return {
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + hungServerGraceMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    application_name: 'strata-agent-gateway',
    keepAlive: true,
    options: `-c search_path=${schemaName}`,
  };
}

/** The pool of the journal. Every wait has an end, and what may pass by itself is said in one way. */
export class Connection {
  readonly #pool: pg.Pool;

  constructor(options: ConnectionOptions) {
    this.#pool = new pg.Pool({
      ...clientSettings(options),
      max: options.poolSize,
      idleTimeoutMillis: 30_000,
    });
    // A connection that breaks while idle is dropped by the pool; the next query opens another or says that the server is away.
    this.#pool.on('error', () => {});
  }

  readonly query: Query = async (name, text, values) => {
    try {
      const { rows } = await this.#pool.query<Row>({ name, text, values: [...values] });
      return rows;
    } catch (error) {
      throw explain(error);
    }
  };

  /** @throws what the work threw; nothing of it has happened then, unless the server went away during the commit. */
  async transaction<Value>(work: (query: Query) => Promise<Value>): Promise<Value> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw explain(error);
    });
    let isBroken = false;
    const onError = () => {
      isBroken = true;
    };
    client.on('error', onError);
    const query: Query = async (name, text, values) => {
      const { rows } = await client.query<Row>({ name, text, values: [...values] });
      return rows;
    };
    try {
      await client.query('begin');
      const value = await work(query);
      await client.query('commit');
      return value;
    } catch (error) {
      isBroken ||= isConnectionLost(error);
      if (!isBroken) await client.query('rollback').catch(onError);
      throw explain(error);
    } finally {
      client.off('error', onError);
      client.release(isBroken);
    }
  }

  /** Processes that start together wait for one another. */
  async migrate(): Promise<void> {
    await this.transaction(async query => {
      await query('', 'select pg_advisory_xact_lock($1)', [migrationLock]);
      await query('', `create schema if not exists ${schemaName}`, []);
      await query('', 'create table if not exists schema_version (version integer not null)', []);
      const [row] = await query('', 'select version from schema_version', []);
      const version = Number(row?.version ?? 0);
      if (version > schemaSteps.length)
        throw new Error('The journal was written by a newer version of Strata');
      for (const step of schemaSteps.slice(version)) await query('', step, []);
      await query('', 'delete from schema_version', []);
      await query('', 'insert into schema_version values ($1)', [schemaSteps.length]);
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function explain(error: unknown): unknown {
  if (error instanceof GatewayError) return error;
  const isPassing =
    isConnectionLost(error) ||
    (error instanceof pg.DatabaseError && passingClasses.has(error.code?.slice(0, 2) ?? ''));
  if (!isPassing) return error;
  return new GatewayError('overloaded', 'The journal cannot be written or read right now.', {
    reason: 'journal_unavailable',
    retryAfterMs: 1000,
    cause: error,
  });
}
