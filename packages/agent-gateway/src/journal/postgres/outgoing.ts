import type { Append, Told } from '../../domain/append.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import type { Query } from './connection.ts';
import { insertRun } from './insert-run.ts';
import { announceToTriggers } from './outbox.ts';
import { enterQueue, leaveQueue } from './queues.ts';

const requestText = `
  with open as (
    update runs set asked = asked + 1, wake_at_ms = case when lease_owner is null then 0 else wake_at_ms end
    where id = $1 and tenant = $2 and (ended_at_ms is null or $3 = 'rewind') returning id
  )
  insert into inbox (run_id, kind, payload, asked_by, at_ms) select id, $3, $4, $5, $6 from open returning id`;

/** Puts a request into the inbox of a run that has not ended; false when it has, or is not the tenant's. */
export async function putRequest(
  tenant: string,
  { runId, kind, payload, by, atMs }: Told & { readonly atMs: number },
  query: Query,
): Promise<boolean> {
  const values = [runId, tenant, kind, JSON.stringify(payload), by, atMs];
  return (await query('request', requestText, values)).length > 0;
}

/** What a run tells others goes out in the transaction of the records that say so (W11). */
export async function sendOut(
  { claim, spawn, tell, publish, subscribe, queue, migrate, atMs }: Append,
  query: Query,
): Promise<void> {
  if (queue !== undefined) {
    const move = queue.step === 'leave' ? leaveQueue : enterQueue;
    await move(claim.runId, { tenant: claim.tenant, name: queue.name, atMs }, query);
  }
  if (migrate !== undefined) {
    const text = 'update runs set definition = $2, version = $3 where id = $1';
    await query('migrate', text, [claim.runId, migrate.definition, migrate.version]);
  }
  if ((spawn ?? tell ?? publish ?? subscribe) === undefined) return;
  const [run] = await query('run-of', 'select tenant, created_at_ms from runs where id = $1', [claim.runId]);
  const tenant = String(run?.tenant);
  for (const run of spawn ?? []) await insertRun(run, query);
  for (const told of tell ?? []) await putRequest(tenant, { ...told, atMs }, query);
  for (const event of publish ?? [])
    await publishEvent(tenant, event, { by: `run:${claim.runId}`, atMs }, query);
  for (const type of subscribe ?? [])
    await subscribeRun({ runId: claim.runId, tenant, type, sinceMs: Number(run?.created_at_ms) }, query);
}

const publishText = `
  insert into events (tenant, source, event_id, type, payload, published_by, at_ms, bytes)
  values ($1, $2, $3, $4, $5, $6, $7, octet_length($5))
  on conflict (tenant, source, event_id) do nothing returning id`;

/**
 * An event and a subscription that are made at the same moment must not miss one another: both take the same lock of their tenant
 * first, so that one of them sees the other.
 */
const lockText = 'select pg_advisory_xact_lock(hashtextextended($1, 0))';

export async function publishEvent(
  tenant: string,
  event: CloudEvent,
  { by, atMs }: { by: string; atMs: number },
  query: Query,
): Promise<void> {
  await query('lock-type', lockText, [tenant]);
  const values = [tenant, event.source, event.id, event.type, JSON.stringify(event), by, atMs];
  if ((await query('publish', publishText, values)).length === 0) return;
  await announceToTriggers(tenant, event, atMs, query);
  const text = `select distinct run_id from subscriptions where tenant = $1 and type in ($2, '*') order by run_id`;
  const rows = await query('subscribers', text, [tenant, event.type]);
  for (const { run_id: runId } of rows) {
    const told = { runId: String(runId), kind: 'event' as const, payload: { event }, by, atMs };
    await putRequest(tenant, told, query);
  }
}

const backlogText = `
  with missed as (
    insert into inbox (run_id, kind, payload, asked_by, at_ms)
    select $1, 'event', '{"event":' || payload || '}', published_by, at_ms from events
    where tenant = $2 and $3 in (type, '*') and at_ms >= $4
      and not exists (select 1 from subscriptions s where s.run_id = $1 and s.type in (events.type, '*') and s.type <> $3)
    order by id returning 1
  )
  update runs set asked = asked + (select count(*) from missed) where id = $1`;

async function subscribeRun(
  { runId, tenant, type, sinceMs }: { runId: string; tenant: string; type: string; sinceMs: number },
  query: Query,
): Promise<void> {
  await query('lock-type', lockText, [tenant]);
  const text = 'insert into subscriptions values ($1, $2, $3) on conflict do nothing returning 1';
  if ((await query('subscribe', text, [runId, tenant, type])).length === 0) return;
  await query('backlog', backlogText, [runId, tenant, type, sinceMs]);
}
