import type { CloudEvent } from '../domain/run-events.ts';
import type { Delivery, Webhook, WebhookStanding } from '../domain/webhook.ts';
import type { Row } from './rows.ts';

/** What of a webhook no statement looks at. */
export type WebhookPlan = Pick<Webhook, 'owner' | 'url' | 'description' | 'types' | 'secrets' | 'schedule'>;

export function planOf({ owner, url, description, types, secrets, schedule }: Webhook): string {
  return JSON.stringify({
    owner,
    url,
    description,
    types,
    secrets,
    ...(schedule !== undefined && { schedule }),
  } satisfies WebhookPlan);
}

export type OutboxKind = 'webhook' | 'trigger';

/** Webhooks are told what runs announce, triggers what is published. */
export const kindOf = ({ schedule }: Webhook): OutboxKind => (schedule === undefined ? 'webhook' : 'trigger');

export function toWebhook(row: Row): Webhook {
  return {
    ...(JSON.parse(String(row.plan)) as WebhookPlan), // written by `planOf`
    id: String(row.id),
    tenant: String(row.tenant),
    isPaused: Boolean(row.is_paused),
    createdAtMs: Number(row.created_at_ms),
  };
}

/** Webhooks with what is on its way to them; a condition follows. */
export const standingText = `select *,
  (select count(*) from outbox where webhook = webhooks.id and died_at_ms is null) as waiting,
  (select count(*) from outbox where webhook = webhooks.id and died_at_ms is not null) as dead from webhooks`;

export function toStanding(row: Row): Webhook & WebhookStanding {
  return {
    ...toWebhook(row),
    failures: Number(row.failures),
    problem: row.problem === null ? undefined : String(row.problem),
    nextAtMs: Number(row.next_at_ms),
    waiting: Number(row.waiting),
    dead: Number(row.dead),
  };
}

export function toDelivery(row: Row): Delivery {
  return {
    id: Number(row.id),
    webhook: String(row.webhook),
    runId: String(row.run_id),
    workflow: String(row.workflow),
    event: JSON.parse(String(row.event)) as CloudEvent, // what the engine announced
    atMs: Number(row.at_ms),
    tries: Number(row.tries),
    problem: row.problem === null ? undefined : String(row.problem),
  };
}
