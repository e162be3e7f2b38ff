import type { Append } from '../../domain/append.ts';
import { lifecyclePrefix } from '../../domain/lifecycle-event.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import type { DeliveryOutcome, Outbox } from '../../domain/webhook.ts';
import { kindOf, planOf, standingText, toDelivery, toStanding, toWebhook } from '../outbox-rows.ts';
import type { Row } from '../rows.ts';
import type { Connection, Query } from './connection.ts';

/**
 * Part of the statement that appends: events enter for every webhook of the tenant that wants their type, in the order in which they
 * happened; `*` alone does not ask for what a run tells under two names twice. Takes four columns from `$20` on.
 */
export const announcedText = `
  announced as (
    insert into outbox (webhook, run_id, workflow, event, at_ms)
    select webhooks.id, said.run_id, moved.workflow, said.event, said.at_ms
    from unnest($20::text[], $21::text[], $22::text[], $23::bigint[]) with ordinality
      as said (run_id, type, event, at_ms, place)
    join moved on moved.id = said.run_id
    join webhooks on webhooks.tenant = moved.tenant
    where webhooks.kind = 'webhook' and exists (
      select 1 from unnest(webhooks.types) as wanted
      where said.type like replace(replace(wanted, '_', '\\_'), '*', '%')
        and (wanted <> '*' or said.type not like '${lifecyclePrefix}%'))
    order by said.place
  )`;

export function announcedColumns(batch: readonly Append[]): unknown[] {
  const said = batch.flatMap(({ claim, announce, atMs }) =>
    (announce ?? []).map(event => ({ runId: claim.runId, event, atMs })),
  );
  return [
    said.map(({ runId }) => runId),
    said.map(({ event }) => event.type),
    said.map(({ event }) => JSON.stringify(event)),
    said.map(({ atMs }) => atMs),
  ];
}

const triggerText = `
  insert into outbox (webhook, run_id, workflow, event, at_ms)
  select id, '', '', $3, $4 from webhooks
  where tenant = $1 and kind = 'trigger' and exists (
    select 1 from unnest(types) as wanted where $2::text like replace(replace(wanted, '_', '\\_'), '*', '%'))`;

/** A published event enters for every trigger of the tenant that wants its type. */
export async function announceToTriggers(
  tenant: string,
  event: CloudEvent,
  atMs: number,
  query: Query,
): Promise<void> {
  await query('announce-to-triggers', triggerText, [tenant, event.type, JSON.stringify(event), atMs]);
}

const putText = `
  insert into webhooks (id, tenant, types, plan, is_paused, created_at_ms, kind) values ($1, $2, $3, $4, $5, $6, $7)
  on conflict (id) do update set types = excluded.types, plan = excluded.plan, is_paused = excluded.is_paused,
    failures = 0, next_at_ms = 0`;

/** The oldest of each run first; rows that another process is taking are passed over. */
const claimText = `
  with due as (
    select outbox.id from webhooks join outbox on outbox.webhook = webhooks.id
    where not webhooks.is_paused and webhooks.next_at_ms <= $1 and outbox.died_at_ms is null and outbox.next_at_ms <= $1
      and not exists (
        select 1 from outbox earlier where earlier.webhook = outbox.webhook and earlier.run_id = outbox.run_id
          and earlier.died_at_ms is null and earlier.id < outbox.id)
    order by outbox.next_at_ms, outbox.id limit $3 for update of outbox skip locked
  ), taken as (
    update outbox set next_at_ms = $1::bigint + $2::bigint, tries = tries + 1 from due where outbox.id = due.id returning outbox.*
  )
  select to_jsonb(taken) as delivery, to_jsonb(webhooks) as webhook from taken join webhooks on webhooks.id = taken.webhook
  order by taken.id`;

export function createPostgresOutbox({ query }: Connection): Outbox {
  return {
    async put(webhook) {
      const { id, tenant, types, isPaused, createdAtMs } = webhook;
      const values = [id, tenant, types, planOf(webhook), isPaused, createdAtMs, kindOf(webhook)];
      await query('put-webhook', putText, values);
    },
    async get(tenant, id) {
      const [row] = await query('get-webhook', `${standingText} where tenant = $1 and id = $2`, [tenant, id]);
      return row && toStanding(row);
    },
    async list({ tenant, after = '', limit }) {
      const text = `${standingText} where tenant = $1 and kind = 'webhook' and id > $2 order by id limit $3`;
      return (await query('list-webhooks', text, [tenant, after, limit])).map(toStanding);
    },
    async delete(tenant, id) {
      const text = `
        with gone as (delete from webhooks where tenant = $1 and id = $2 returning id),
          untold as (delete from outbox using gone where outbox.webhook = gone.id)
        select id from gone`;
      return (await query('delete-webhook', text, [tenant, id])).length > 0;
    },
    async claim({ nowMs, leaseMs, limit }) {
      const rows = await query('claim-deliveries', claimText, [nowMs, leaseMs, limit]);
      // As `claimText` says: both are rows as JSON.
      return rows.map(row => ({
        webhook: toWebhook(row.webhook as Row),
        delivery: toDelivery(row.delivery as Row),
      }));
    },
    async settle({ id, webhook, tries }, outcome, atMs) {
      const [name, text, values] = settling(outcome, atMs);
      await query(name, text, [id, tries, webhook, ...values]);
    },
    async dead({ webhook, after, limit }) {
      const text = `select * from outbox where webhook = $1 and died_at_ms is not null and id > $2 order by id limit $3`;
      return (await query('dead-deliveries', text, [webhook, after, limit])).map(toDelivery);
    },
    async revive(webhook) {
      const text = `update outbox set died_at_ms = null, next_at_ms = 0, tries = 0
        where webhook = $1 and died_at_ms is not null returning id`;
      return (await query('revive-deliveries', text, [webhook])).length;
    },
    async removeOld({ beforeMs, limit }) {
      const text = `delete from outbox where id in (
        select id from outbox where at_ms < $1 limit $2 for update skip locked) returning id`;
      return (await query('remove-old-deliveries', text, [beforeMs, limit])).length;
    },
    async trim({ most, limit }) {
      const text = `
        with counted as (
          select webhook, count(*) - $1::bigint as over from outbox group by webhook having count(*) > $1
        ), oldest as (
          select gone.id from counted cross join lateral (
            select id from outbox where outbox.webhook = counted.webhook order by id limit least(counted.over, $2::bigint)
          ) gone
        )
        delete from outbox using oldest where outbox.id = oldest.id returning 1`;
      return (await query('trim-deliveries', text, [most, limit])).length;
    },
  };
}

function settling(outcome: DeliveryOutcome, atMs: number): readonly [string, string, readonly unknown[]] {
  const isMine = 'id = $1 and tries = $2 and webhook = $3';
  switch (outcome.type) {
    case 'dropped':
      return ['drop-delivery', `delete from outbox where ${isMine}`, []];
    case 'delivered':
      return [
        'delivered',
        `with gone as (delete from outbox where ${isMine} returning webhook)
         update webhooks set failures = 0, next_at_ms = 0, problem = null from gone where webhooks.id = gone.webhook`,
        [],
      ];
    case 'dead':
      return [
        'delivery-died',
        `update outbox set died_at_ms = $4, problem = $5 where ${isMine}`,
        [atMs, outcome.problem],
      ];
    case 'failed':
      return [
        'delivery-failed',
        `with mine as (update outbox set next_at_ms = $4, problem = $5 where ${isMine} returning webhook)
         update webhooks set failures = failures + 1, next_at_ms = $4, problem = $5 from mine where webhooks.id = mine.webhook`,
        [outcome.retryAtMs, outcome.problem],
      ];
  }
}
