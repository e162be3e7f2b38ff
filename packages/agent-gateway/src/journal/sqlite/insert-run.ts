import type { Claim } from '../../domain/append.ts';
import { defaultPriority, rankOf } from '../../domain/queue.ts';
import { claimRun } from './claims.ts';
import { putRequest } from './mail.ts';
import type { Operation } from './operations.ts';
import { enterQueue } from './queues.ts';
import { copyRecords, insertRecord } from './records.ts';
import type { Statements } from './statements.ts';

type CreateRun = Extract<Operation, { type: 'create-run' }>;

/** What has a queue waits for that, whoever would have it. */
export function createRun(
  operation: CreateRun,
  statements: Statements,
): { id: string; claim: Claim | undefined } {
  const { id, isMade } = insertRun(operation, statements);
  const { lease, run } = operation;
  if (!isMade || lease === undefined || run.queue !== undefined) return { id, claim: undefined };
  return { id, claim: claimRun(id, lease, statements)[0] };
}

/** Gives the id of the run: the new one, or the one that the tenant's key stands for. */
export function insertRun(
  { run, untilMs, tree, payload }: CreateRun,
  statements: Statements,
): { id: string; isMade: boolean } {
  if (run.idempotencyKey !== undefined) {
    const known = statements.get(
      'select id from runs where tenant = ? and idempotency_key = ?',
      run.tenant,
      run.idempotencyKey,
    );
    if (known !== undefined) return { id: String(known.id), isMade: false };
  }
  const { priority = defaultPriority, queue } = run;
  statements.run(
    `insert into runs (id, tenant, principal, definition, namespace, name, version, status, position, wake_at_ms,
       idempotency_key, request_digest, trace_id, created_at_ms, updated_at_ms, priority, queue, queue_limit, queue_rank,
       keep_ms, root_run, held_tasks)
     values (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
    tree.rootRun ?? null,
    tree.heldTasks ?? 0,
  );
  if (queue !== undefined)
    enterQueue(run.id, { tenant: run.tenant, name: queue.name, atMs: run.atMs }, statements);
  const of = { runId: run.id, epoch: 0 };
  insertRecord({ ...of, seq: 1 }, { kind: 'run-created', payload, atMs: run.atMs }, statements);
  run.records?.forEach((record, index) => {
    insertRecord({ ...of, seq: index + 2 }, record, statements);
  });
  if (run.fork === undefined) return { id: run.id, isMade: true };
  const { runId, to, record } = run.fork;
  copyRecords({ from: runId, to, runId: run.id }, statements);
  insertRecord({ ...of, seq: to + 1 }, record, statements);
  return { id: run.id, isMade: true };
}

export function importRuns(
  { runs: [first, ...others], asked }: Extract<Operation, { type: 'import-runs' }>,
  statements: Statements,
): string {
  if (first === undefined) throw new Error('Nothing to import');
  const { tenant, atMs } = first.run;
  const { id } = insertRun(first, statements);
  if (id !== first.run.id) return id;
  for (const each of others) insertRun(each, statements);
  for (const { runId, kind, payload, by } of asked)
    putRequest({ tenant, runId, kind, payload: JSON.stringify(payload), by, atMs }, statements);
  return id;
}
