import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { lifecyclePrefix } from '../../src/domain/lifecycle-event.ts';
import type { CloudEvent } from '../../src/domain/run-events.ts';
import type { Delivery, Outbox, Webhook } from '../../src/domain/webhook.ts';

type Kept<Value> = { -readonly [Key in keyof Value]: Value[Key] };

interface KeptDelivery extends Kept<Delivery> {
  nextAtMs: number;
  diedAtMs: number | undefined;
}

interface KeptWebhook {
  webhook: Webhook;
  failures: number;
  problem: string | undefined;
  nextAtMs: number;
}

export interface MemoryOutbox extends Outbox {
  announce(of: {
    kind: 'webhook' | 'trigger';
    runId: string;
    tenant: string;
    workflow: string;
    events: readonly CloudEvent[];
    atMs: number;
  }): void;
}

export function createMemoryOutbox(): MemoryOutbox {
  const webhooks = new Map<string, KeptWebhook>();
  let deliveries: KeptDelivery[] = [];
  let lastId = 0;

  const show = ({ webhook, ...standing }: KeptWebhook) => {
    const own = deliveries.filter(each => each.webhook === webhook.id);
    const dead = own.filter(each => each.diedAtMs !== undefined).length;
    return { ...webhook, ...standing, waiting: own.length - dead, dead };
  };
  const isFirst = (delivery: KeptDelivery) =>
    !deliveries.some(
      each =>
        each.webhook === delivery.webhook &&
        each.runId === delivery.runId &&
        each.diedAtMs === undefined &&
        each.id < delivery.id,
    );

  return {
    announce({ kind, tenant, events, ...of }) {
      for (const event of events) {
        for (const { webhook } of webhooks.values()) {
          const isMeant = (webhook.schedule === undefined) === (kind === 'webhook');
          if (!isMeant || webhook.tenant !== tenant || !matchesScope(typesFor(event, webhook), event.type))
            continue;
          const fresh = { tries: 0, problem: undefined, nextAtMs: 0, diedAtMs: undefined };
          deliveries.push({ id: ++lastId, webhook: webhook.id, event, ...of, ...fresh });
        }
      }
    },
    async put(webhook) {
      webhooks.set(webhook.id, { webhook, failures: 0, problem: undefined, nextAtMs: 0 });
    },
    async get(tenant, id) {
      const kept = webhooks.get(id);
      return kept?.webhook.tenant === tenant ? show(kept) : undefined;
    },
    list: async ({ tenant, after = '', limit }) =>
      [...webhooks.values()]
        .filter(
          ({ webhook }) => webhook.tenant === tenant && webhook.schedule === undefined && webhook.id > after,
        )
        .sort((one, other) => (one.webhook.id < other.webhook.id ? -1 : 1))
        .slice(0, limit)
        .map(show),
    async delete(tenant, id) {
      if (webhooks.get(id)?.webhook.tenant !== tenant) return false;
      deliveries = deliveries.filter(each => each.webhook !== id);
      return webhooks.delete(id);
    },
    async claim({ nowMs, leaseMs, limit }) {
      const due = deliveries.filter(each => {
        const owner = webhooks.get(each.webhook);
        const isOpen = owner !== undefined && !owner.webhook.isPaused && owner.nextAtMs <= nowMs;
        return isOpen && each.diedAtMs === undefined && each.nextAtMs <= nowMs && isFirst(each);
      });
      return due.slice(0, limit).flatMap(delivery => {
        const owner = webhooks.get(delivery.webhook);
        Object.assign(delivery, { nextAtMs: nowMs + leaseMs, tries: delivery.tries + 1 });
        return owner === undefined ? [] : [{ webhook: owner.webhook, delivery: { ...delivery } }];
      });
    },
    async settle(of, outcome, atMs) {
      const delivery = deliveries.find(each => each.id === of.id && each.tries === of.tries);
      const owner = webhooks.get(of.webhook);
      if (delivery === undefined || owner === undefined) return;
      if (outcome.type === 'delivered' || outcome.type === 'dropped')
        deliveries = deliveries.filter(each => each !== delivery);
      if (outcome.type === 'delivered')
        Object.assign(owner, { failures: 0, problem: undefined, nextAtMs: 0 });
      if (outcome.type === 'dead') Object.assign(delivery, { diedAtMs: atMs, problem: outcome.problem });
      if (outcome.type !== 'failed') return;
      const { problem, retryAtMs: nextAtMs } = outcome;
      Object.assign(delivery, { problem, nextAtMs });
      Object.assign(owner, { problem, nextAtMs, failures: owner.failures + 1 });
    },
    dead: async ({ webhook, after, limit }) =>
      deliveries
        .filter(each => each.webhook === webhook && each.diedAtMs !== undefined && each.id > after)
        .slice(0, limit),
    async revive(webhook) {
      const dead = deliveries.filter(each => each.webhook === webhook && each.diedAtMs !== undefined);
      for (const each of dead) Object.assign(each, { diedAtMs: undefined, nextAtMs: 0, tries: 0 });
      return dead.length;
    },
    async removeOld({ beforeMs, limit }) {
      const old = new Set(deliveries.filter(({ atMs }) => atMs < beforeMs).slice(0, limit));
      deliveries = deliveries.filter(each => !old.has(each));
      return old.size;
    },
    async trim({ most, limit }) {
      const old = new Set<unknown>();
      for (const id of new Set(deliveries.map(({ webhook }) => webhook))) {
        const own = deliveries.filter(({ webhook }) => webhook === id);
        for (const each of own.slice(0, Math.max(0, Math.min(limit, own.length - most)))) old.add(each);
      }
      deliveries = deliveries.filter(each => !old.has(each));
      return old.size;
    },
  };
}

const typesFor = ({ type }: CloudEvent, { types, schedule }: Webhook) =>
  schedule === undefined && type.startsWith(lifecyclePrefix) ? types.filter(each => each !== '*') : types;
