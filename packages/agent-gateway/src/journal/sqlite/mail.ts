import type { Operation } from './operations.ts';
import { announce } from './outbox.ts';
import type { Statements } from './statements.ts';

/** It goes to every run of the tenant that has subscribed to its type, once, however often it is sent. */
export function publishEvent(
  { tenant, event, by, atMs }: Omit<Extract<Operation, { type: 'publish' }>, 'type'>,
  statements: Statements,
): void {
  const payload = JSON.stringify(event);
  const isNew = statements.run(
    `insert or ignore into events (tenant, source, event_id, type, payload, published_by, at_ms, bytes)
     values (?, ?, ?, ?, ?, ?, ?, ?)`,
    tenant,
    event.source,
    event.id,
    event.type,
    payload,
    by,
    atMs,
    Buffer.byteLength(payload),
  );
  if (isNew === 0) return;
  announce({ kind: 'trigger', runId: '', tenant, workflow: '', events: [event], atMs }, statements);
  const rows = statements.all(
    "select distinct run_id from subscriptions where tenant = ? and type in (?, '*')",
    tenant,
    event.type,
  );
  for (const { run_id: runId } of rows) {
    const told = JSON.stringify({ event });
    putRequest(
      {
        tenant,
        runId: String(runId),
        kind: 'event',
        payload: told,
        by,
        atMs,
      },
      statements,
    );
  }
}

/** Events that were published since then come too. */
export function subscribeRun(
  of: { runId: string; tenant: string; type: string; sinceMs: number },
  statements: Statements,
): void {
  const { runId, tenant, type, sinceMs } = of;
  const isNew = statements.run('insert or ignore into subscriptions values (?, ?, ?)', runId, tenant, type);
  if (isNew === 0) return;
  statements.run(
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

/** Puts a request into the inbox of a run that has not ended; false when it has, or is not the tenant's. */
export function putRequest(
  { tenant, runId, kind, payload, by, atMs }: Omit<Extract<Operation, { type: 'request' }>, 'type'>,
  statements: Statements,
): boolean {
  const open = statements.get(
    "select lease_owner from runs where id = ? and tenant = ? and (ended_at_ms is null or ? = 'rewind')",
    runId,
    tenant,
    kind,
  );
  if (open === undefined) return false;
  statements.run(
    'insert into inbox (run_id, kind, payload, asked_by, at_ms) values (?, ?, ?, ?, ?)',
    runId,
    kind,
    payload,
    by,
    atMs,
  );
  if (open.lease_owner === null) statements.run('update runs set wake_at_ms = 0 where id = ?', runId);
  return true;
}
