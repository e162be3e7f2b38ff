import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { definitionIsFreshMs } from '../definition-age.ts';
import { appendRecords } from './append.ts';
import { claimRuns, releaseRun, renewLeases } from './claims.ts';
import { createRun, importRuns } from './insert-run.ts';
import { reserveTasks } from './live-tasks.ts';
import { publishEvent, putRequest } from './mail.ts';
import type { Operation } from './operations.ts';
import { applyToOutbox } from './outbox.ts';
import { changeQueue } from './queues.ts';
import { removeDefinitions, removeEnded, removeEvents, trimEvents } from './removal.ts';
import { schemaSteps } from './schema.ts';
import { Statements } from './statements.ts';
import { deleteWorkflow, putWorkflow } from './workflows.ts';

const busyTimeoutMs = 5000;

const putDefinitionText = `insert into definitions values (?1, ?2, ?3) on conflict (hash) do
  update set created_at_ms = ?3 where created_at_ms < ?3 - ?4`;

/** The one writer of a journal file. Every commit is on disk before it is acknowledged (`synchronous = full`). */
export class SqliteWriter {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #alive: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    this.#statements = new Statements(this.#database);
    this.#database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on');
    this.#migrate();
    this.#alive = new DatabaseSync(`${path}.alive`, { timeout: 0 });
    this.#announce();
  }

  /** Applies all operations in one transaction: one wait for the disk, however many runs go on at once. */
  applyAll<Id>(batch: readonly { readonly id: Id; readonly operation: Operation }[]) {
    this.#run('begin immediate');
    try {
      const values = batch.map(({ id, operation }) => ({ id, value: this.#applyOne(operation) }));
      this.#run('commit');
      return values;
    } catch (error) {
      if (this.#database.isTransaction) this.#run('rollback');
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
    this.#alive.close();
  }

  #migrate(): void {
    this.#run('begin immediate');
    const { user_version: version } = this.#statements.get('pragma user_version') as {
      user_version: number;
    };
    if (version > schemaSteps.length) throw new Error('The journal was written by a newer version of Strata');
    for (const step of schemaSteps.slice(version)) this.#database.exec(step);
    this.#database.exec(`pragma user_version = ${schemaSteps.length}`);
    this.#run('commit');
  }

  /**
   * Every process that uses the file holds a shared lock on a file beside it, which the system takes away when the process dies,
   * however it dies. Whoever can have that lock for itself alone knows that no other worker lives, and need not wait for leases
   * to run out.
   */
  #announce(): void {
    try {
      this.#alive.exec('begin exclusive; create table if not exists alive (process text)');
      this.#run('update runs set wake_at_ms = 0, lease_owner = null where lease_owner is not null');
      this.#alive.exec('commit');
    } catch (error) {
      if (!isBusy(error)) throw error;
    }
    this.#alive.exec(`pragma busy_timeout = ${busyTimeoutMs}; begin`);
    this.#alive.prepare('select count(*) from alive').get();
  }

  #applyOne(operation: Operation): unknown {
    switch (operation.type) {
      case 'put-definition': {
        const { hash, document } = operation.definition;
        this.#run(putDefinitionText, hash, document, operation.atMs, definitionIsFreshMs);
        return undefined;
      }
      case 'put-workflow':
        return putWorkflow(operation, this.#statements);
      case 'delete-workflow':
        return deleteWorkflow(operation, this.#statements);
      case 'create-run':
        return createRun(operation, this.#statements);
      case 'claim':
        return claimRuns(operation, this.#statements);
      case 'renew':
        return renewLeases(operation, this.#statements);
      case 'import-runs':
        return importRuns(operation, this.#statements);
      case 'append':
        return appendRecords(operation.append, this.#statements);
      case 'reserve-tasks':
        return reserveTasks(operation, this.#statements);
      case 'release':
        return releaseRun(operation, this.#statements);
      case 'change-queue':
        return changeQueue(operation, this.#statements);
      case 'request':
        return putRequest(operation, this.#statements);
      case 'publish':
        return publishEvent(operation, this.#statements);
      case 'outbox':
        return applyToOutbox(operation.operation, this.#statements);
      case 'remove-ended':
        return removeEnded(operation, this.#statements);
      case 'remove-events':
        return removeEvents(operation, this.#statements);
      case 'trim-events':
        return trimEvents(operation, this.#statements);
      case 'remove-definitions':
        return removeDefinitions(operation, this.#statements);
    }
  }

  #run(text: string, ...values: SQLInputValue[]): number {
    return this.#statements.run(text, ...values);
  }
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && Number(error.errcode) % 256 === sqliteBusy;
}
