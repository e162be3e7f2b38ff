import type { Append } from '../../domain/append.ts';
import { type RecordRow, splitRecord } from '../record-rows.ts';
import { putBlobs } from './blobs.ts';
import type { Connection, Query } from './connection.ts';
import { announcedColumns, announcedText } from './outbox.ts';
import { sendOut } from './outgoing.ts';

/**
 * Moves all these runs and writes their records in one statement: one round trip and one wait for the disk, however many runs go
 * on at once. The epoch is compared in the statement that moves the position, so a worker that lost its run writes nothing (AG-2).
 */
const appendText = `
  with given as (
    select * from unnest(string_to_array($1, E'\\n'), $2::bigint[], $3::bigint[], $4::bigint[], string_to_array($5, E'\\n'),
      $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::integer[], $26::bigint[])
      as t (run_id, epoch, position, next_position, status, cost, unpriced, input_tokens, output_tokens, at_ms, is_final, consumed, held)
  ), moved as (
    update runs set position = next_position, status = given.status, cost_nano_usd = cost, unpriced_calls = unpriced,
      input_tokens = given.input_tokens, output_tokens = given.output_tokens, updated_at_ms = at_ms,
      held_tasks = case when is_final then 0 else held end,
      asked = case when is_final then 0 else greatest(0, asked - consumed) end,
      lease_owner = case when is_final then null else lease_owner end,
      wake_at_ms = case when is_final then null else wake_at_ms end,
      ended_at_ms = case when is_final then coalesce(ended_at_ms, at_ms) end
    from given where id = given.run_id and runs.epoch = given.epoch and runs.lease_owner is not null and runs.position = given.position
    returning id, is_final, runs.status, tenant, namespace || '/' || name as workflow
  ), written as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum)
    select r.* from unnest(string_to_array($13, E'\\n'), $14::bigint[], string_to_array($15, E'\\n'), string_to_array($16, E'\\n'),
      $17::bigint[], $18::bigint[], string_to_array($24, E'\\n', ''), $25::bigint[]) as r (run_id, seq, kind, payload, at_ms, epoch, refs, checksum) join moved on moved.id = r.run_id
  ), answered as (
    delete from inbox using moved
    where inbox.run_id = moved.id and ((moved.is_final and moved.status <> 'moved') or inbox.id = any ($19::bigint[]))
  ), unsubscribed as (
    delete from subscriptions using moved where subscriptions.run_id = moved.id and moved.is_final
  ), ${announcedText}
  select id from moved`;

/** Gives the runs whose append was written. */
export async function appendBatch(batch: readonly Append[], connection: Connection): Promise<Set<string>> {
  const hasMore = batch.some(
    ({ spawn, tell, publish, subscribe, queue, migrate }) =>
      spawn ?? tell ?? publish ?? subscribe ?? queue ?? migrate,
  );
  const rows = batch.map(splitRecords);
  const named = rows.flat().filter(({ blobs }) => blobs.length > 0);
  if (!hasMore && named.length === 0) return writeBatch(batch, rows, connection.query);
  return connection.transaction(async query => {
    const written = await writeBatch(batch, rows, query);
    await putBlobs(
      named.filter(({ runId }) => written.has(runId)),
      query,
    );
    for (const append of [...batch].sort(byQueue)) {
      if (written.has(append.claim.runId)) await sendOut(append, query);
    }
    return written;
  });
}

/** Queues are locked in one order, so that processes do not lock them against one another. */
const byQueue = ({ queue: one }: Append, { queue: other }: Append) =>
  (one?.name ?? '') < (other?.name ?? '') ? -1 : 1;

interface AppendedRow extends RecordRow {
  readonly runId: string;
  readonly epoch: number;
  readonly seq: number;
  readonly kind: string;
  readonly atMs: number;
}

function splitRecords({ claim: { runId, epoch }, position, records }: Append): AppendedRow[] {
  return records.map(({ kind, atMs, payload }, index) => {
    const place = { runId, epoch, seq: position + index + 1, kind, atMs };
    return { ...place, ...splitRecord(payload) };
  });
}

async function writeBatch(
  batch: readonly Append[],
  appended: readonly (readonly AppendedRow[])[],
  query: Query,
): Promise<Set<string>> {
  const column = (of: (append: Append) => Plain) => literalOf(batch.map(of));
  const records = appended.flat();
  const rows = await query('append', appendText, [
    batch.map(({ claim }) => claim.runId).join('\n'),
    column(({ claim }) => claim.epoch),
    column(({ position }) => position),
    column(({ position, records: own }) => position + own.length),
    batch.map(({ progress }) => progress.status).join('\n'),
    column(({ progress }) => progress.costNanoUsd),
    column(({ progress }) => progress.unpricedCalls),
    column(({ progress }) => progress.inputTokens),
    column(({ progress }) => progress.outputTokens),
    column(({ atMs }) => atMs),
    column(({ isFinal }) => isFinal),
    column(({ consumed }) => consumed?.length ?? 0),
    records.map(each => each.runId).join('\n'),
    literalOf(records.map(each => each.seq)),
    records.map(each => each.kind).join('\n'),
    records.map(each => each.payload).join('\n'), // JSON in one line each: as an array, every quote of it would be escaped
    literalOf(records.map(each => each.atMs)),
    literalOf(records.map(each => each.epoch)),
    literalOf(batch.flatMap(({ consumed }) => consumed ?? [])),
    ...announcedColumns(batch),
    records.map(each => each.refs ?? '').join('\n'),
    literalOf(records.map(each => each.checksum)),
    column(({ progress }) => progress.heldTasks),
  ]);
  const written = new Set(rows.map(row => String(row.id)));
  const repeats = batch.filter(({ claim, isRepeat }) => isRepeat === true && !written.has(claim.runId));
  for (const append of repeats) if (await wasWritten(append, query)) written.add(append.claim.runId);
  return written;
}

type Plain = number | bigint | boolean;

/** As PostgreSQL writes an array. The driver would quote each value by itself. */
const literalOf = (values: readonly Plain[]) => `{${values.join(',')}}`;

async function wasWritten({ claim, position, records }: Append, query: Query): Promise<boolean> {
  const text = 'select 1 from runs where id = $1 and epoch = $2 and position = $3';
  const rows = await query('was-written', text, [claim.runId, claim.epoch, position + records.length]);
  return rows.length > 0;
}
