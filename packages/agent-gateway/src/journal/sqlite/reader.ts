import { DatabaseSync } from 'node:sqlite';
import type { RunRequest } from '../../domain/append.ts';
import type { RunFilter, RunSummary, StoredDefinition, StoredWorkflow } from '../../domain/journal.ts';
import type { QueueSummary } from '../../domain/queue.ts';
import type { JournalRecord } from '../../domain/run-events.ts';
import { queueText, toQueueSummary } from '../queue-rows.ts';
import { joinRecord } from '../record-rows.ts';
import { toSummary, toWorkflow } from '../rows.ts';
import { runListStatement } from '../run-list.ts';
import { nextPublisherText } from '../trim-events.ts';
import { Statements } from './statements.ts';

const readText = `
  select seq, payload, at_ms, refs, checksum, case when refs is not null then (
    select json_group_object(hash, body) from blobs
    where hash in (select value from json_each(journal.refs, '$.fields'))
  ) end as bodies
  from journal where run_id = ? and seq > ? order by seq limit ?`;

/** Reads the journal file beside its writer: in WAL mode neither waits for the other. */
export class SqliteReader {
  readonly #database: DatabaseSync;
  /** For the parts of the journal that read their own tables. */
  readonly statements: Statements;
  /** Gives integers that a number cannot hold. */
  readonly #wide: Statements;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true, timeout: 1000 });
    this.statements = new Statements(this.#database);
    this.#wide = new Statements(this.#database, { hasBigIntegers: true });
  }

  close(): void {
    this.statements.clear();
    this.#wide.clear();
    this.#database.close();
  }

  ping(): void {
    this.statements.get('select 1');
  }

  getDefinition(hash: string): StoredDefinition | undefined {
    const row = this.statements.get('select document from definitions where hash = ?', hash);
    return row && { hash, document: String(row.document) };
  }

  getWorkflow(
    tenant: string,
    { namespace, name, version }: { namespace: string; name: string; version: string },
  ): StoredWorkflow | undefined {
    const row = this.statements.get(
      'select * from workflows where tenant = ? and namespace = ? and name = ? and version = ?',
      tenant,
      namespace,
      name,
      version,
    );
    return row && toWorkflow(row);
  }

  listWorkflows(tenant: string, after: string | undefined, limit: number): StoredWorkflow[] {
    const [namespace = '', name = '', version = ''] = after?.split('\n') ?? [];
    return this.statements
      .all(
        `select * from workflows where tenant = ? and (namespace, name, version) > (?, ?, ?)
       order by namespace, name, version limit ?`,
        tenant,
        namespace,
        name,
        version,
        limit,
      )
      .map(toWorkflow);
  }

  getRun(tenant: string, runId: string): RunSummary | undefined {
    const row = this.#wide.get('select * from runs where id = ? and tenant = ?', runId, tenant);
    return row && toSummary(row);
  }

  listRuns(filter: RunFilter): RunSummary[] {
    const { text, values } = runListStatement(filter, () => '?');
    return this.#wide.all(text, ...values).map(toSummary);
  }

  read(runId: string, afterSeq: number, limit: number): JournalRecord[] {
    return this.statements.all(readText, runId, afterSeq, limit).map(joinRecord);
  }

  countMessages(runId: string): number {
    const row = this.statements.get(
      `select (select count(*) from inbox where run_id = ?1 and kind in ('signal', 'event'))
         + (select count(*) from journal where run_id = ?1 and kind = 'event-received') as n`,
      runId,
    );
    return Number(row?.n);
  }

  nextWakeAt(owner: string): number | undefined {
    const row = this.statements.get(
      `select wake_at_ms from runs where wake_at_ms is not null and lease_owner is not ?
       order by wake_at_ms limit 1`,
      owner,
    );
    return row && Number(row.wake_at_ms);
  }

  nextPublisher(after: string): string | undefined {
    const row = this.statements.get(nextPublisherText('?'), after);
    return row && String(row.tenant);
  }

  listQueues(tenant: string, after: string | undefined, limit: number): QueueSummary[] {
    const text = `${queueText} where tenant = ? and name > ? order by name limit ?`;
    return this.statements.all(text, tenant, after ?? '', limit).map(toQueueSummary);
  }

  getQueue(tenant: string, name: string): QueueSummary | undefined {
    const row = this.statements.get(`${queueText} where tenant = ? and name = ?`, tenant, name);
    return row && toQueueSummary(row);
  }

  requests(runId: string): RunRequest[] {
    return this.statements.all('select * from inbox where run_id = ? order by id', runId).map(row => ({
      id: Number(row.id),
      kind: row.kind as RunRequest['kind'], // written by `request`
      payload: JSON.parse(String(row.payload)) as unknown,
      by: String(row.asked_by),
    }));
  }
}
