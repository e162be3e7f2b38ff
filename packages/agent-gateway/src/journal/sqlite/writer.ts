import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { Append } from '../../domain/journal.ts';
import { defaultPriority, rankOf } from '../../domain/queue.ts';
import { claimRuns, releaseRun, renewLeases } from './claims.ts';
import { createOperation, type Operation } from './operations.ts';
import { announce, applyToOutbox } from './outbox.ts';
import { changeQueue, enterQueue, leaveQueue } from './queues.ts';
import { copyRecords, insertRecord, removeRuns } from './records.ts';
import { schemaSteps } from './schema.ts';
import { Statements } from './statements.ts';

const busyTimeoutMs = 5000;

const oldEventsText = `
  delete from events where id in (
    select id from events where at_ms < ? and at_ms < coalesce(
      (select min(created_at_ms) from runs where runs.tenant = events.tenant and ended_at_ms is null), at_ms + 1
    ) order by at_ms limit ?
  )`;

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
        this.#run('insert or ignore into definitions values (?, ?, ?)', hash, document, operation.atMs);
        return undefined;
      }
      case 'put-workflow':
        return this.#putWorkflow(operation);
      case 'create-run':
        return this.#createRun(operation);
      case 'claim':
        return claimRuns(operation, this.#statements);
      case 'renew':
        return renewLeases(operation, this.#statements);
      case 'import-runs':
        return this.#importRuns(operation);
      case 'append':
        return this.#append(operation.append);
      case 'release':
        return releaseRun(operation, this.#statements);
      case 'change-queue':
        return changeQueue(operation, this.#statements);
      case 'request':
        return this.#request(operation);
      case 'publish':
        return this.#publish(operation);
      case 'outbox':
        return applyToOutbox(operation.operation, this.#statements);
      case 'remove-ended':
        return this.#removeEnded(operation);
      case 'remove-events':
        return this.#run(oldEventsText, operation.beforeMs, operation.limit);
    }
  }

  #putWorkflow({ tenant, workflow }: Extract<Operation, { type: 'put-workflow' }>): string {
    const { namespace, name, version, definition, createdAtMs } = workflow;
    const known = this.#statements.get(
      'select definition from workflows where tenant = ? and namespace = ? and name = ? and version = ?',
      tenant,
      namespace,
      name,
      version,
    );
    if (known !== undefined) return known.definition === definition ? 'unchanged' : 'conflict';
    this.#run(
      'insert into workflows values (?, ?, ?, ?, ?, ?)',
      tenant,
      namespace,
      name,
      version,
      definition,
      createdAtMs,
    );
    return 'created';
  }

  #createRun({ run, untilMs, payload }: Extract<Operation, { type: 'create-run' }>): string {
    if (run.idempotencyKey !== undefined) {
      const known = this.#statements.get(
        'select id from runs where tenant = ? and idempotency_key = ?',
        run.tenant,
        run.idempotencyKey,
      );
      if (known !== undefined) return String(known.id);
    }
    const { priority = defaultPriority, queue } = run;
    this.#run(
      `insert into runs (id, tenant, principal, definition, namespace, name, version, status, position, wake_at_ms,
         idempotency_key, request_digest, trace_id, created_at_ms, updated_at_ms, priority, queue, queue_limit, queue_rank,
         keep_ms)
       values (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      run.id,
      run.tenant,
      run.principal,
      run.definition,
      run.namespace,
      run.name,
      run.version,
      1 + (run.fork?.to ?? run.records?.length ?? 0),
      untilMs,
      run.idempotencyKey ?? null,
      run.requestDigest,
      run.traceId,
      run.atMs,
      run.atMs,
      priority,
      queue?.name ?? null,
      queue?.limit ?? null,
      queue === undefined ? null : rankOf({ atMs: run.atMs, priority }),
      run.keepEndedMs ?? null,
    );
    if (queue !== undefined)
      enterQueue(run.id, { tenant: run.tenant, name: queue.name, atMs: run.atMs }, this.#statements);
    const of = { runId: run.id, epoch: 0 };
    insertRecord({ ...of, seq: 1 }, { kind: 'run-created', payload, atMs: run.atMs }, this.#statements);
    run.records?.forEach((record, index) => {
      insertRecord({ ...of, seq: index + 2 }, record, this.#statements);
    });
    if (run.fork === undefined) return run.id;
    const { runId, to, record } = run.fork;
    copyRecords({ from: runId, to, runId: run.id }, this.#statements);
    insertRecord({ ...of, seq: to + 1 }, record, this.#statements);
    return run.id;
  }

  #importRuns({ runs: [first, ...others], asked }: Extract<Operation, { type: 'import-runs' }>): string {
    if (first === undefined) throw new Error('Nothing to import');
    const { tenant, atMs } = first.run;
    const id = this.#createRun(first);
    if (id !== first.run.id) return id;
    for (const each of others) this.#createRun(each);
    for (const { runId, kind, payload, by } of asked)
      this.#request({ type: 'request', tenant, runId, kind, payload: JSON.stringify(payload), by, atMs });
    return id;
  }

  /** The epoch is compared in the statement that moves the position: a worker that lost its run writes nothing (AG-2). */
  #append(append: Append): boolean {
    const { claim, position, records, progress, atMs, consumed, isFinal } = append;
    const { status, costNanoUsd, unpricedCalls, inputTokens, outputTokens } = progress;
    const moved = this.#run(
      `update runs set position = ?, status = ?, cost_nano_usd = ?, unpriced_calls = ?, input_tokens = ?,
         output_tokens = ?, updated_at_ms = ?, ended_at_ms = case when ? then coalesce(ended_at_ms, ?) end
       where id = ? and epoch = ? and position = ? and lease_owner is not null`,
      position + records.length,
      status,
      costNanoUsd,
      unpricedCalls,
      inputTokens,
      outputTokens,
      atMs,
      Number(isFinal),
      atMs,
      claim.runId,
      claim.epoch,
      position,
    );
    if (moved === 0) return append.isRepeat === true && this.#wasWritten(append);
    records.forEach((record, index) => {
      insertRecord({ ...claim, seq: position + index + 1 }, record, this.#statements);
    });
    for (const id of consumed ?? []) this.#run('delete from inbox where id = ?', id);
    if (isFinal) {
      this.#run('update runs set lease_owner = null, wake_at_ms = null where id = ?', claim.runId);
      // What was asked of a run that goes on elsewhere goes there with it.
      if (status !== 'moved') this.#run('delete from inbox where run_id = ?', claim.runId);
      this.#run('delete from subscriptions where run_id = ?', claim.runId);
    }
    this.#moveInQueue(append);
    if (append.migrate !== undefined) {
      const { definition, version } = append.migrate;
      this.#run('update runs set definition = ?, version = ? where id = ?', definition, version, claim.runId);
    }
    this.#sendOut(append);
    return true;
  }

  #moveInQueue({ claim: { runId, tenant }, queue, atMs }: Append): void {
    if (queue === undefined) return;
    const move = queue.step === 'leave' ? leaveQueue : enterQueue;
    move(runId, { tenant, name: queue.name, atMs }, this.#statements);
  }

  #wasWritten({ claim, position, records }: Append): boolean {
    const text = 'select 1 from runs where id = ? and epoch = ? and position = ?';
    const row = this.#statements.get(text, claim.runId, claim.epoch, position + records.length);
    return row !== undefined;
  }

  /** What a run tells others goes out with the records that say so, or not at all (W11). */
  #sendOut({ claim, spawn, tell, publish, announce: announced, subscribe, atMs }: Append): void {
    if ((spawn ?? tell ?? publish ?? announced ?? subscribe) === undefined) return;
    const row = this.#statements.get(
      'select tenant, namespace, name, created_at_ms from runs where id = ?',
      claim.runId,
    );
    const tenant = String(row?.tenant);
    if (announced !== undefined) {
      const workflow = `${row?.namespace}/${row?.name}`;
      announce(
        { kind: 'webhook', runId: claim.runId, tenant, workflow, events: announced, atMs },
        this.#statements,
      );
    }
    const by = `run:${claim.runId}`;
    for (const run of spawn ?? []) this.#createRun(createOperation(run));
    for (const { runId, kind, payload, by: teller } of tell ?? [])
      this.#request({
        type: 'request',
        tenant,
        runId,
        kind,
        payload: JSON.stringify(payload),
        by: teller,
        atMs,
      });
    for (const event of publish ?? []) this.#publish({ type: 'publish', tenant, event, by, atMs });
    for (const type of subscribe ?? [])
      this.#subscribe({ runId: claim.runId, tenant, type, sinceMs: Number(row?.created_at_ms) });
  }

  #publish({ tenant, event, by, atMs }: Extract<Operation, { type: 'publish' }>): void {
    const payload = JSON.stringify(event);
    const isNew = this.#run(
      `insert or ignore into events (tenant, source, event_id, type, payload, published_by, at_ms)
       values (?, ?, ?, ?, ?, ?, ?)`,
      tenant,
      event.source,
      event.id,
      event.type,
      payload,
      by,
      atMs,
    );
    if (isNew === 0) return;
    announce({ kind: 'trigger', runId: '', tenant, workflow: '', events: [event], atMs }, this.#statements);
    const rows = this.#statements.all(
      "select distinct run_id from subscriptions where tenant = ? and type in (?, '*')",
      tenant,
      event.type,
    );
    for (const { run_id: runId } of rows) {
      const told = JSON.stringify({ event });
      this.#request({
        type: 'request',
        tenant,
        runId: String(runId),
        kind: 'event',
        payload: told,
        by,
        atMs,
      });
    }
  }

  #subscribe(of: { runId: string; tenant: string; type: string; sinceMs: number }): void {
    const { runId, tenant, type, sinceMs } = of;
    const isNew = this.#run('insert or ignore into subscriptions values (?, ?, ?)', runId, tenant, type);
    if (isNew === 0) return;
    this.#run(
      `insert into inbox (run_id, kind, payload, asked_by, at_ms)
       select ?, 'event', '{"event":' || payload || '}', published_by, at_ms from events
       where tenant = ? and ? in (type, '*') and at_ms >= ?
         and not exists (select 1 from subscriptions s where s.run_id = ? and s.type in (events.type, '*') and s.type <> ?)
       order by id`,
      runId,
      tenant,
      type,
      sinceMs,
      runId,
      type,
    );
  }

  #request({ tenant, runId, kind, payload, by, atMs }: Extract<Operation, { type: 'request' }>): boolean {
    const open = this.#statements.get(
      "select lease_owner from runs where id = ? and tenant = ? and (ended_at_ms is null or ? = 'rewind')",
      runId,
      tenant,
      kind,
    );
    if (open === undefined) return false;
    this.#run(
      'insert into inbox (run_id, kind, payload, asked_by, at_ms) values (?, ?, ?, ?, ?)',
      runId,
      kind,
      payload,
      by,
      atMs,
    );
    if (open.lease_owner === null) this.#run('update runs set wake_at_ms = 0 where id = ?', runId);
    return true;
  }

  /** One that was asked to go on is due, and stays. */
  #removeEnded({
    beforeMs,
    limit,
    isOwn,
  }: Extract<Operation, { readonly type: 'remove-ended' | 'remove-events' }>): number {
    const isOver = isOwn ? 'keep_ms is not null and ended_at_ms + keep_ms < ?' : 'ended_at_ms < ?';
    const rows = this.#statements.all(
      `select id from runs where ${isOver} and wake_at_ms is null order by ended_at_ms limit ?`,
      beforeMs,
      limit,
    );
    removeRuns(
      rows.map(row => String(row.id)),
      this.#statements,
    );
    return rows.length;
  }

  #run(text: string, ...values: SQLInputValue[]): number {
    return this.#statements.run(text, ...values);
  }
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && Number(error.errcode) % 256 === sqliteBusy;
}
