import type { Blob } from '../record-rows.ts';
import type { Query } from './connection.ts';

/**
 * Counts are kept in the row of the blob: whoever names one waits there for whoever is removing it, and finds it, or finds it gone and
 * writes it anew. In a transaction, and always in the same order.
 */
export async function putBlobs(
  named: readonly { readonly runId: string; readonly blobs: readonly Blob[] }[],
  query: Query,
): Promise<void> {
  const all = named.flatMap(({ runId, blobs }) => blobs.map(blob => ({ ...blob, runId })));
  for (const { runId, hash, body } of all.sort(byHash)) {
    const text = 'insert into blob_refs values ($1, $2) on conflict do nothing returning 1';
    if ((await query('name-blob', text, [runId, hash])).length === 0) continue;
    await query('put-blob', putText, [hash, body]);
  }
}

const byHash = ({ hash: one }: Blob, { hash: other }: Blob) => (one < other ? -1 : 1);

const putText = `insert into blobs values ($1, $2, 1) on conflict (hash) do update set refs = blobs.refs + 1`;

/** The new run names all that the other one does. That one stays until then. */
export async function copyBlobRefs(
  { from, runId }: { from: string; runId: string },
  query: Query,
): Promise<void> {
  const copied = await query('copy-blob-refs', copyText, [runId, from]);
  const hashes = copied.map(({ hash }) => hash);
  if (hashes.length > 0)
    await query('count-blobs', 'update blobs set refs = refs + 1 where hash = any ($1::text[])', [hashes]);
}

const copyText = `insert into blob_refs select $1, hash from blob_refs where run_id = $2 order by hash
  on conflict do nothing returning hash`;

/** All that is kept of these runs, and the blobs that nobody else names. */
export async function removeRuns(runIds: readonly string[], query: Query): Promise<void> {
  const counted = await query('forget-blobs', forgetText, [runIds]);
  for (const table of ['journal', 'inbox', 'subscriptions', 'blob_refs'])
    await query(`remove-${table}`, `delete from ${table} where run_id = any ($1::text[])`, [runIds]);
  await query('remove-runs', 'delete from runs where id = any ($1::text[])', [runIds]);
  const hashes = counted.map(({ hash }) => hash);
  if (hashes.length > 0)
    await query('drop-blobs', 'delete from blobs where hash = any ($1::text[]) and refs <= 0', [hashes]);
}

const forgetText = `
  with named as (
    select hash, count(*) as times from blob_refs where run_id = any ($1::text[]) group by hash
  ), locked as (
    select blobs.hash, times from blobs join named on named.hash = blobs.hash order by blobs.hash for update of blobs
  )
  update blobs set refs = refs - times from locked where blobs.hash = locked.hash returning blobs.hash`;
