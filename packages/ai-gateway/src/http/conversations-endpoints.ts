import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import { newId } from '@strata/shared/ids.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Conversation, ConversationStore } from '../domain/conversation.ts';
import { conversationNotFound } from '../domain/conversation-errors.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import { conversationItems, readItems, readMetadata } from '../pipeline/conversation-items.ts';
import { parseObject } from '../protocols/read-json.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

const base = '/v1/conversations';
const limits = { defaultLimit: 20, maxLimit: 100 };

export interface ConversationsDeps {
  readonly conversations: ConversationStore;
  readonly clock: Clock;
}

/** The Conversations API of OpenAI. */
export function addConversationsEndpoints(app: FastifyInstance, deps: ConversationsDeps): void {
  const { conversations, clock } = deps;
  const options = { config: { access: 'caller', errors: openaiErrors } } as const;
  app.post(base, options, async request => {
    const body = bodyOf(request);
    const created = {
      ...{ id: newId('conv', clock.now()), createdAtMs: clock.now(), metadata: readMetadata(body.metadata) },
      items: conversationItems(readItems(body.items, { isRequired: false }), clock.now()),
    };
    await conversations.create(ownerOf(request.caller), created);
    return written(created);
  });
  app.get(`${base}/:id`, options, async request => written(await find(deps, request)));
  app.post(`${base}/:id`, options, async request => {
    const { owner, id } = namesOf(request);
    const updated = await conversations.update(owner, id, readMetadata(bodyOf(request).metadata));
    if (updated === undefined) throw conversationNotFound(id);
    return written(updated);
  });
  app.delete(`${base}/:id`, options, async request => {
    const { owner, id } = namesOf(request);
    if (!(await conversations.remove(owner, id))) throw conversationNotFound(id);
    return { id, object: 'conversation.deleted', deleted: true };
  });
  addItemEndpoints(app, deps);
}

function addItemEndpoints(app: FastifyInstance, deps: ConversationsDeps): void {
  const { conversations, clock } = deps;
  const options = { config: { access: 'caller', errors: openaiErrors } } as const;
  const path = `${base}/:id/items`;
  app.post(path, options, async request => {
    const { owner, id } = namesOf(request);
    const items = conversationItems(readItems(bodyOf(request).items, { isRequired: true }), clock.now());
    if (!(await conversations.append(owner, id, items))) throw conversationNotFound(id);
    return listOf(items, items.length);
  });
  app.get(path, options, async request => {
    const { owner, id } = namesOf(request);
    await find(deps, request);
    const query = request.query as Query; // Fastify parses it into an object
    const page = pageOf(query, { ...limits, after: query.after });
    return listOf(await conversations.list(owner, id, page), page.limit);
  });
  app.get(`${path}/:item`, options, async request => {
    const { owner, id, item } = namesOf(request);
    const found = await conversations.item(owner, id, item);
    if (found === undefined) throw itemNotFound(item);
    return found;
  });
  app.delete(`${path}/:item`, options, async request => {
    const { owner, id, item } = namesOf(request);
    const conversation = await find(deps, request);
    if (!(await conversations.removeItem(owner, id, item))) throw itemNotFound(item);
    return written(conversation);
  });
}

function namesOf(request: FastifyRequest) {
  const { id, item = '' } = request.params as { id: string; item?: string }; // the parameters of these very paths
  return { owner: ownerOf(request.caller), id, item };
}

async function find({ conversations }: ConversationsDeps, request: FastifyRequest): Promise<Conversation> {
  const { owner, id } = namesOf(request);
  const found = await conversations.find(owner, id);
  if (found === undefined) throw conversationNotFound(id);
  return found;
}

/** An absent body says nothing. @throws GatewayError invalid_request (`json_syntax`). */
function bodyOf({ body }: FastifyRequest): JsonObject {
  if (!Buffer.isBuffer(body) || body.length === 0) return {};
  const parsed = parseObject(body);
  if (parsed !== undefined) return parsed;
  throw new GatewayError('invalid_request', 'The body must be a JSON object.', { reason: 'json_syntax' });
}

function written({ id, createdAtMs, metadata }: Conversation): object {
  return { id, object: 'conversation', created_at: Math.floor(createdAtMs / 1000), metadata };
}

function itemNotFound(id: string): GatewayError {
  return new GatewayError('not_found', `There is no item '${id.slice(0, 200)}' in this conversation.`, {
    reason: 'conversation_item_not_found',
  });
}
