import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Delivery, Webhook, WebhookStanding } from '../domain/webhook.ts';
import {
  createWebhook,
  rotateSecret,
  type WebhookDeps,
  webhookNotFound,
} from '../pipeline/change-webhooks.ts';
import { checkFields, readFields } from './read-body.ts';
import type { RecordChange } from './record-change.ts';

const caller = { config: { access: 'caller' } } as const;

interface WithId {
  Params: { id: string };
}

const fields = {
  url: z.string().min(1).max(2000),
  types: z
    .array(
      z.string().regex(/^[A-Za-z0-9*._:/-]{1,200}$/, 'expected a type of event, in which `*` stands for any'),
    )
    .min(1)
    .max(50),
  description: z.string().max(500),
};
export const webhookBody = z.strictObject({
  ...fields,
  types: fields.types.default(['*']),
  description: fields.description.default(''),
});
export const webhookChangeBody = z.strictObject(fields).partial();
const noBody = z.strictObject({});
export const webhookListQuery = z.strictObject({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const deadQuery = z.strictObject({
  cursor: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** `/v1/webhooks`: who is told what runs do, with `:pause`, `:resume`, `:rotate` and `:redeliver`. */
export function addWebhookRoutes(
  app: FastifyInstance,
  deps: WebhookDeps & { readonly recordChange: RecordChange },
): void {
  const { outbox } = deps;

  app.post('/v1/webhooks', caller, async (request, reply) => {
    const { webhook, secret } = await createWebhook(readFields(request, webhookBody), request.caller, deps);
    await deps.recordChange(request, { action: 'webhook.create', id: webhook.id });
    const standing = { failures: 0, problem: undefined, nextAtMs: 0, waiting: 0, dead: 0 };
    return reply
      .code(201)
      .header('location', `/v1/webhooks/${webhook.id}`)
      .send({ ...show({ ...webhook, ...standing }), secret });
  });

  app.get('/v1/webhooks', caller, async request => {
    const { cursor, limit } = checkFields(request.query, webhookListQuery);
    const page = await outbox.list({ tenant: request.caller.tenant, after: cursor, limit });
    const next = page.length === limit ? page.at(-1)?.id : undefined;
    const webhooks = page.filter(each => mayManage(request.caller, each)).map(show);
    return { webhooks, ...(next !== undefined && { next_cursor: next }) };
  });

  app.get<WithId>('/v1/webhooks/:id', caller, async request => show(await find(request, deps)));

  app.patch<WithId>('/v1/webhooks/:id', caller, async request => {
    const { url, types, description } = readFields(request, webhookChangeBody);
    const webhook = await find(request, deps);
    if (url !== undefined) deps.requireAddress(url);
    await change(request, 'webhook.change', {
      ...webhook,
      url: url ?? webhook.url,
      types: types ?? webhook.types,
      description: description ?? webhook.description,
    });
    return show(await find(request, deps));
  });

  app.delete<WithId>('/v1/webhooks/:id', caller, async (request, reply) => {
    const { id, tenant } = await find(request, deps);
    await outbox.delete(tenant, id);
    await deps.recordChange(request, { action: 'webhook.delete', id });
    return reply.code(204).send();
  });

  app.get<WithId>('/v1/webhooks/:id/dead-letters', caller, async request => {
    const { cursor, limit } = checkFields(request.query, deadQuery);
    const { id } = await find(request, deps);
    const page = await outbox.dead({ webhook: id, after: cursor, limit });
    const next = page.length === limit ? page.at(-1)?.id : undefined;
    return { dead_letters: page.map(showDelivery), ...(next !== undefined && { next_cursor: String(next) }) };
  });

  app.post<WithId>('/v1/webhooks/:id', caller, async request => {
    const [id = '', verb = ''] = request.params.id.split(':');
    const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (act === undefined) {
      const known = Object.keys(verbs).join(', ');
      throw new GatewayError('not_found', `The verbs of a webhook are ${known}.`, {
        reason: 'unknown_route',
      });
    }
    readFields(request, noBody);
    return act(request, await find(request, deps, id));
  });

  const verbs: Readonly<
    Record<string, (request: FastifyRequest, webhook: Webhook & WebhookStanding) => Promise<unknown>>
  > = {
    async pause(request, webhook) {
      await change(request, 'webhook.pause', { ...webhook, isPaused: true });
      return show(await find(request, deps, webhook.id));
    },
    /** What has waited is tried at once. */
    async resume(request, webhook) {
      await change(request, 'webhook.resume', { ...webhook, isPaused: false });
      return show(await find(request, deps, webhook.id));
    },
    /** The secret before it signs too for a while. */
    async rotate(request, webhook) {
      const { changed, secret } = rotateSecret(webhook, deps);
      await change(request, 'webhook.rotate', changed);
      return { ...show({ ...webhook, ...changed }), secret };
    },
    async redeliver(request, webhook) {
      const revived = await outbox.revive(webhook.id);
      await deps.recordChange(request, { action: 'webhook.redeliver', id: webhook.id });
      return { redelivered: revived };
    },
  };

  async function change(request: FastifyRequest, action: string, changed: Webhook): Promise<void> {
    await outbox.put(changed);
    await deps.recordChange(request, { action, id: changed.id });
  }
}

/** Whoever made it, and those who run the organisation. */
function mayManage(by: Caller, { owner }: Webhook): boolean {
  return owner.principal === by.principal || by.roles.some(role => role === 'owner' || role === 'operator');
}

async function find(
  request: FastifyRequest,
  { outbox }: WebhookDeps,
  id = (request.params as { id: string }).id, // of routes with an id only
): Promise<Webhook & WebhookStanding> {
  const webhook = await outbox.get(request.caller.tenant, id);
  if (webhook === undefined || !mayManage(request.caller, webhook)) throw webhookNotFound();
  return webhook;
}

function show(webhook: Webhook & WebhookStanding) {
  const { id, url, types, description, owner, isPaused, failures, problem, nextAtMs, waiting, dead } =
    webhook;
  return {
    id,
    url,
    types,
    description,
    principal: owner.principal,
    paused: isPaused,
    created_at: new Date(webhook.createdAtMs).toISOString(),
    waiting,
    dead,
    failures,
    ...(problem !== undefined && { last_problem: problem }),
    ...(failures > 0 && { next_at: new Date(nextAtMs).toISOString() }),
  };
}

function showDelivery({ id, runId, event, tries, problem, atMs }: Delivery) {
  return { id: String(id), run: runId, event, attempts: tries, problem, at: new Date(atMs).toISOString() };
}
