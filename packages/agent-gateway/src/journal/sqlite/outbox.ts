import { lifecyclePrefix } from '../../domain/lifecycle-event.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import type { ClaimedDelivery, Delivery, DeliveryOutcome, Outbox, Webhook } from '../../domain/webhook.ts';
import {
  kindOf,
  type OutboxKind,
  planOf,
  standingText,
  toDelivery,
  toStanding,
  toWebhook,
} from '../outbox-rows.ts';
import type { Statements } from './statements.ts';

/** What the writer does to the outbox, each as a part of its transaction. */
export type OutboxOperation =
  | { readonly type: 'put'; readonly webhook: Webhook }
  | { readonly type: 'delete'; readonly tenant: string; readonly id: string }
  | { readonly type: 'claim'; readonly nowMs: number; readonly leaseMs: number; readonly limit: number }
  | {
      readonly type: 'settle';
      readonly delivery: Pick<Delivery, 'id' | 'webhook' | 'tries'>;
      readonly outcome: DeliveryOutcome;
      readonly atMs: number;
    }
  | { readonly type: 'revive'; readonly webhook: string }
  | { readonly type: 'remove-old'; readonly beforeMs: number; readonly limit: number }
  | { readonly type: 'trim'; readonly most: number; readonly limit: number };

/**
 * An event enters for all of the kind and tenant that want its type; `*` alone does not ask for what a run tells under two names twice.
 * Types have no characters but `*` that GLOB takes for patterns.
 */
export function announce(
  of: {
    readonly kind: OutboxKind;
    readonly runId: string;
    readonly tenant: string;
    readonly workflow: string;
    readonly events: readonly CloudEvent[];
    readonly atMs: number;
  },
  sql: Statements,
): void {
  const text = `insert into outbox (webhook, run_id, workflow, event, at_ms)
    select id, ?, ?, ?, ? from webhooks
    where tenant = ? and kind = ? and exists (select 1 from json_each(webhooks.types) where ? glob value and (value <> '*' or ?))`;
  for (const event of of.events) {
    const isFirstName = of.kind === 'webhook' && event.type.startsWith(lifecyclePrefix) ? 0 : 1;
    const wanted = [of.tenant, of.kind, event.type, isFirstName];
    sql.run(text, of.runId, of.workflow, JSON.stringify(event), of.atMs, ...wanted);
  }
}

export function applyToOutbox(operation: OutboxOperation, sql: Statements): unknown {
  switch (operation.type) {
    case 'put':
      return put(operation.webhook, sql);
    case 'delete': {
      const { tenant, id } = operation;
      const isThere = sql.run('delete from webhooks where tenant = ? and id = ?', tenant, id) > 0;
      if (isThere) sql.run('delete from outbox where webhook = ?', id);
      return isThere;
    }
    case 'claim':
      return claim(operation, sql);
    case 'settle':
      return settle(operation, sql);
    case 'revive': {
      const text = `update outbox set died_at_ms = null, next_at_ms = 0, tries = 0
        where webhook = ? and died_at_ms is not null`;
      return sql.run(text, operation.webhook);
    }
    case 'remove-old': {
      const text = 'delete from outbox where id in (select id from outbox where at_ms < ? limit ?)';
      return sql.run(text, operation.beforeMs, operation.limit);
    }
    case 'trim':
      return trim(operation, sql);
  }
}

function trim({ most, limit }: Extract<OutboxOperation, { type: 'trim' }>, sql: Statements): number {
  const full = sql.all(
    'select webhook, count(*) as n from outbox group by webhook having count(*) > ?',
    most,
  );
  const text = 'delete from outbox where id in (select id from outbox where webhook = ? order by id limit ?)';
  return full.reduce(
    (sum, { webhook, n }) => sum + sql.run(text, String(webhook), Math.min(limit, Number(n) - most)),
    0,
  );
}

function put(webhook: Webhook, sql: Statements): void {
  const { id, tenant, types, isPaused, createdAtMs } = webhook;
  const text = `insert into webhooks (id, tenant, kind, types, plan, is_paused, created_at_ms) values (?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set types = excluded.types, plan = excluded.plan, is_paused = excluded.is_paused,
      failures = 0, next_at_ms = 0`;
  sql.run(
    text,
    id,
    tenant,
    kindOf(webhook),
    JSON.stringify(types),
    planOf(webhook),
    Number(isPaused),
    createdAtMs,
  );
}

function claim({ nowMs, leaseMs, limit }: Extract<OutboxOperation, { type: 'claim' }>, sql: Statements) {
  const text = `update outbox set next_at_ms = ?, tries = tries + 1
    where id in (
      select due.id from webhooks join outbox due on due.webhook = webhooks.id
      where webhooks.is_paused = 0 and webhooks.next_at_ms <= ? and due.died_at_ms is null and due.next_at_ms <= ?
        and not exists (
          select 1 from outbox earlier where earlier.webhook = due.webhook and earlier.run_id = due.run_id
            and earlier.died_at_ms is null and earlier.id < due.id)
      order by due.next_at_ms, due.id limit ?)
    returning *`;
  const rows = sql.all(text, nowMs + leaseMs, nowMs, nowMs, limit);
  return rows.map(row => {
    const webhook = sql.get('select * from webhooks where id = ?', String(row.webhook)) ?? {};
    return { webhook: toWebhook(webhook), delivery: toDelivery(row) };
  });
}

function settle(
  { delivery, outcome, atMs }: Extract<OutboxOperation, { type: 'settle' }>,
  sql: Statements,
): void {
  const { id, tries, webhook } = delivery;
  const isMine = 'id = ? and tries = ?';
  switch (outcome.type) {
    case 'dropped':
      sql.run(`delete from outbox where ${isMine}`, id, tries);
      return;
    case 'delivered':
      if (sql.run(`delete from outbox where ${isMine}`, id, tries) > 0)
        sql.run('update webhooks set failures = 0, next_at_ms = 0, problem = null where id = ?', webhook);
      return;
    case 'dead':
      sql.run(
        `update outbox set died_at_ms = ?, problem = ? where ${isMine}`,
        atMs,
        outcome.problem,
        id,
        tries,
      );
      return;
    case 'failed': {
      const { problem, retryAtMs } = outcome;
      const text = `update outbox set next_at_ms = ?, problem = ? where ${isMine}`;
      if (sql.run(text, retryAtMs, problem, id, tries) === 0) return;
      sql.run(
        'update webhooks set failures = failures + 1, next_at_ms = ?, problem = ? where id = ?',
        retryAtMs,
        problem,
        webhook,
      );
    }
  }
}

export function createSqliteOutbox(deps: {
  readonly apply: <Value>(operation: OutboxOperation) => Promise<Value>;
  readonly read: Statements;
}): Outbox {
  const { apply, read } = deps;
  return {
    put: webhook => apply({ type: 'put', webhook }),
    async get(tenant, id) {
      const row = read.get(`${standingText} where tenant = ? and id = ?`, tenant, id);
      return row && toStanding(row);
    },
    async list({ tenant, after = '', limit }) {
      const text = `${standingText} where tenant = ? and kind = 'webhook' and id > ? order by id limit ?`;
      return read.all(text, tenant, after, limit).map(toStanding);
    },
    delete: (tenant, id) => apply({ type: 'delete', tenant, id }),
    claim: options => apply<ClaimedDelivery[]>({ type: 'claim', ...options }),
    settle: ({ id, webhook, tries }, outcome, atMs) =>
      apply({ type: 'settle', delivery: { id, webhook, tries }, outcome, atMs }),
    async dead({ webhook, after, limit }) {
      const text = `select * from outbox where webhook = ? and died_at_ms is not null and id > ? order by id limit ?`;
      return read.all(text, webhook, after, limit).map(toDelivery);
    },
    revive: webhook => apply({ type: 'revive', webhook }),
    removeOld: options => apply({ type: 'remove-old', ...options }),
    trim: options => apply({ type: 'trim', ...options }),
  };
}
