import type { NewRun } from '../../domain/journal.ts';
import type { Query } from './connection.ts';

const createText = `
  with made as (
    insert into runs (id, tenant, principal, definition, namespace, name, version, status, position, wake_at_ms,
      idempotency_key, request_digest, trace_id, created_at_ms, updated_at_ms)
    values ($1, $2, $3, $4, $5, $6, $7, 'pending', $13::bigint + 1, $8, $9, $10, $11, $8, $8)
    on conflict do nothing returning id
  ), copied as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch)
    select made.id, seq, kind, payload, journal.at_ms, 0 from journal, made where run_id = $14 and seq between 2 and $13::bigint
  ), forked as (
    insert into journal (run_id, seq, kind, payload, at_ms, epoch)
    select id, $13::bigint + 1, 'run-forked', $15, $8, 0 from made where $14::text is not null
  )
  insert into journal (run_id, seq, kind, payload, at_ms, epoch) select id, 1, 'run-created', $12, $8, 0 from made
  returning run_id`;

/** Gives the id of the run: the new one, or the one that the tenant's key stands for. */
export async function insertRun(run: NewRun, query: Query): Promise<string> {
  const { id, tenant, principal, definition, namespace, name, version, atMs, idempotencyKey } = run;
  const identity = [id, tenant, principal, definition, namespace, name, version, atMs];
  const rest = [idempotencyKey ?? null, run.requestDigest, run.traceId, JSON.stringify(run.event)];
  const copy = [run.fork?.to ?? 0, run.fork?.runId ?? null, run.fork?.record.payload ?? null];
  const made = await query('create-run', createText, [...identity, ...rest, ...copy]);
  if (made.length > 0) return id;
  const text = 'select id from runs where tenant = $1 and (idempotency_key = $2 or id = $3)';
  const [row] = await query('run-by-key', text, [tenant, idempotencyKey ?? null, id]);
  return String(row?.id);
}
