import { splitRecord } from '../record-rows.ts';
import type { Statements } from './statements.ts';

export interface RecordPlace {
  readonly runId: string;
  readonly seq: number;
  readonly epoch: number;
}

/** Writes a record, and what of it is large once for all runs. */
export function insertRecord(
  { runId, seq, epoch }: RecordPlace,
  record: { readonly kind: string; readonly payload: string; readonly atMs: number },
  statements: Statements,
): void {
  const { payload, refs, checksum, blobs } = splitRecord(record.payload);
  statements.run(
    `insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum) values (?, ?, ?, ?, ?, ?, ?, ?)`,
    runId,
    seq,
    record.kind,
    payload,
    record.atMs,
    epoch,
    refs,
    checksum,
  );
  for (const { hash, body } of blobs) {
    const text = 'insert or ignore into blob_refs (run_id, hash) values (?, ?)';
    if (statements.run(text, runId, hash) === 0) continue;
    statements.run(
      'insert into blobs (hash, body, refs) values (?, ?, 1) on conflict (hash) do update set refs = refs + 1',
      hash,
      body,
    );
  }
}

/** The records of another run from the second on. Blobs that only later ones name are counted too, and do no harm. */
export function copyRecords(
  { from, to, runId }: { from: string; to: number; runId: string },
  statements: Statements,
): void {
  statements.run(
    `insert into journal (run_id, seq, kind, payload, at_ms, epoch, refs, checksum)
     select ?, seq, kind, payload, at_ms, 0, refs, checksum from journal where run_id = ? and seq between 2 and ?`,
    runId,
    from,
    to,
  );
  statements.run(
    `update blobs set refs = refs + 1 where hash in (select hash from blob_refs where run_id = ?)
       and hash not in (select hash from blob_refs where run_id = ?)`,
    from,
    runId,
  );
  const text =
    'insert or ignore into blob_refs (run_id, hash) select ?, hash from blob_refs where run_id = ?';
  statements.run(text, runId, from);
}

/** All that is kept of these runs, and the blobs that nobody else names. */
export function removeRuns(runIds: readonly string[], statements: Statements): void {
  const ids = JSON.stringify(runIds);
  const ofThem = 'where run_id in (select value from json_each(?))';
  statements.run(
    `update blobs set refs = refs - (
       select count(*) from blob_refs where blob_refs.hash = blobs.hash and run_id in (select value from json_each(?))
     ) where hash in (select hash from blob_refs ${ofThem})`,
    ids,
    ids,
  );
  statements.run(`delete from blobs where refs <= 0 and hash in (select hash from blob_refs ${ofThem})`, ids);
  for (const table of ['journal', 'inbox', 'subscriptions', 'blob_refs'])
    statements.run(`delete from ${table} ${ofThem}`, ids);
  statements.run('delete from runs where id in (select value from json_each(?))', ids);
}
