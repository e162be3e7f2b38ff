import type { Lease, NewRecord, NewRun } from '../../domain/append.ts';
import { defaultPriority, queuedUntil, rankOf } from '../../domain/queue.ts';
import { blobThreshold, splitRecord } from '../record-rows.ts';
import type { Row } from '../rows.ts';
import { copyBlobRefs, putBlobs } from './blobs.ts';
import { serverNow } from './claims.ts';
import type { Query } from './connection.ts';
import { enterQueue } from './queues.ts';

const createText = `
  with made as (
    insert into runs (id, tenant, principal, definition, namespace, name, version, status, position, wake_at_ms,
      idempotency_key, request_digest, trace_id, created_at_ms, updated_at_ms, priority, queue, queue_limit, queue_rank, keep_ms,
      root_run, held_tasks, lease_owner, epoch)
    values ($1, $2, $3, $4, $5, $6, $7, 'pending', $13::bigint + 1,
      case when $26::text is null then $20 else coalesce($27::bigint, ${serverNow}) + $28::bigint end,
      $9, $10, $11, $8, $8, $16, $17, $18, $19, $23, $24, $25, $26, case when $26::text is null then 0 else 1 end)
    on conflict do nothing returning *
  ), copied as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum)
    select made.id, seq, kind, payload, journal.at_ms, 0, refs, checksum from journal, made
    where run_id = $14 and seq between 2 and $13::bigint
  ), forked as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch)
    select id, $13::bigint + 1, 'run-forked', $15, $8, 0 from made where $14::text is not null
  ), recorded as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum)
    select id, 1, 'run-created', $12, $8, 0, $21, $22::bigint from made
  )
  select made.*, true as is_made from made`;

/** Whether making it takes more than one statement, and so a transaction. */
export function isManifold({ queue, fork, records, event }: NewRun): boolean {
  return (queue ?? fork ?? records) !== undefined || JSON.stringify(event).length > blobThreshold;
}

/** By the server's clock, unless it says what time it is. */
export type RowLease = Omit<Lease, 'nowMs'> & { readonly nowMs: number | null };

/** Gives the row of the run: the new one, or the one that the tenant's key stands for. The lease is for one without a queue. */
export async function insertRun(run: NewRun, query: Query, lease?: RowLease): Promise<Row | undefined> {
  const { id, tenant, principal, definition, namespace, name, version, atMs, idempotencyKey } = run;
  const identity = [id, tenant, principal, definition, namespace, name, version, atMs];
  const { payload, refs, checksum, blobs } = splitRecord(JSON.stringify(run.event));
  const rest = [idempotencyKey ?? null, run.requestDigest, run.traceId, payload];
  const copy = [
    run.fork?.to ?? run.records?.length ?? 0,
    run.fork?.runId ?? null,
    run.fork?.record.payload ?? null,
  ];
  const { queue, priority = defaultPriority } = run;
  const rank = queue === undefined ? null : rankOf({ atMs, priority });
  const untilMs = queue === undefined ? atMs : Math.ceil(queuedUntil(run.event));
  const place = [priority, queue?.name ?? null, queue?.limit ?? null, rank, untilMs];
  if (run.fork !== undefined)
    await query('keep-source', 'select 1 from runs where id = $1 for share', [run.fork.runId]);
  const record = [refs, checksum, run.keepEndedMs ?? null];
  const tree = [run.event.rootRun ?? null, run.event.heldTasks ?? 0];
  const held = [lease?.owner ?? null, lease?.nowMs ?? null, lease?.leaseMs ?? null];
  const [made] = await query('create-run', createText, [
    ...identity,
    ...rest,
    ...copy,
    ...place,
    ...record,
    ...tree,
    ...held,
  ]);
  if (made !== undefined) {
    await putBlobs([{ runId: id, blobs }], query);
    if (run.records !== undefined) await insertRecords(id, run.records, query);
    if (run.fork !== undefined) await copyBlobRefs({ from: run.fork.runId, runId: id }, query);
    if (queue === undefined) return made;
    await enterQueue(id, { tenant, name: queue.name, atMs }, query);
  }
  const text = 'select * from runs where tenant = $1 and (idempotency_key = $2 or id = $3)';
  const [row] = await query('run-by-key', text, [tenant, idempotencyKey ?? null, id]);
  return row;
}

const recordsText = `
  insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum)
  select $1, r.seq, r.kind, r.payload, r.at_ms, 0, r.refs, r.checksum
  from unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
    as r (seq, kind, payload, at_ms, refs, checksum)`;

/** Behind the first one. */
async function insertRecords(runId: string, records: readonly NewRecord[], query: Query): Promise<void> {
  const rows = records.map(record => ({ ...record, ...splitRecord(record.payload) }));
  await query('insert-records', recordsText, [
    runId,
    rows.map((_, index) => index + 2),
    rows.map(({ kind }) => kind),
    rows.map(({ payload }) => payload),
    rows.map(({ atMs }) => atMs),
    rows.map(({ refs }) => refs),
    rows.map(({ checksum }) => checksum),
  ]);
  await putBlobs(
    rows.map(({ blobs }) => ({ runId, blobs })),
    query,
  );
}
