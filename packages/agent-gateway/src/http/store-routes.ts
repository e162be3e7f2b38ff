import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { etagOf } from '@strata/shared/http/etag.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import type { ItemName, ItemRoom, ItemSummary, StoreItem, StoreItems } from '../domain/store-item.ts';
import { maySee } from './find-run.ts';
import { nameCursor, readNameCursor } from './name-cursor.ts';
import { readExpected, unexpected } from './preconditions.ts';
import { checkFields, readFields } from './read-body.ts';
import { requireSize } from './require-size.ts';

const caller = { config: { access: 'caller' } } as const;
const path = '/v1/store/:namespace/:key';
const nameText = z
  .string()
  .min(1)
  .max(200)
  .refine(text => !/\p{Cc}/u.test(text), 'no control characters');

export const itemParams = z.object({ namespace: nameText, key: nameText });
export const itemBody = z.strictObject({
  value: z.unknown().refine(value => value !== undefined, 'expected any JSON'),
  ttl_ms: z
    .int()
    .min(1)
    .max(10 * 366 * 86_400_000)
    .optional()
    .describe('After so many milliseconds it is not there any more.'),
});
export const itemListQuery = z.strictObject({
  namespace: nameText.optional(),
  prefix: z.string().max(200).default('').describe('Beginning of the keys.'),
  cursor: z.string().max(2000).optional(), // two names of 200 characters, in base64
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export interface StoreDeps {
  readonly items: StoreItems;
  readonly clock: Clock;
  readonly room: () => ItemRoom & { readonly valueBytes: number };
}

interface WithName {
  Params: { namespace: string; key: string };
}

/**
 * `/v1/store`: values that outlive runs, by namespace and key, for whoever may use workflows of such a name. With `If-Match` a change is
 * made only to the revision that was read, with `If-None-Match: *` only where there is nothing yet.
 */
export function addStoreRoutes(app: FastifyInstance, { items, clock, room }: StoreDeps): void {
  app.put<WithName>(path, caller, async (request, reply) => {
    const name = nameOf(request);
    requireWorkflowScope(request.caller, { namespace: name.namespace, name: name.key });
    const { value, ttl_ms } = readFields(request, itemBody);
    requireSize(value, { what: 'value', most: room().valueBytes, param: 'value' });
    const nowMs = clock.now();
    const item = {
      ...name,
      value,
      expiresAtMs: ttl_ms === undefined ? undefined : nowMs + ttl_ms,
      updatedAtMs: nowMs,
      principal: request.caller.principal,
    };
    const put = await items.put(item, { expected: readExpected(request), room: room() });
    if (put === 'unexpected') throw unexpected();
    if (put === 'full') throw noRoom();
    return reply
      .code(put.isNew ? 201 : 200)
      .header('etag', etagOf(put.item.revision))
      .send(show(put.item));
  });

  app.get<WithName>(path, caller, async (request, reply) => {
    const name = nameOf(request);
    const item = mayReach(request, name) ? await items.get(name, clock.now()) : undefined;
    if (item === undefined) throw absent();
    return reply.header('etag', etagOf(item.revision)).send(show(item));
  });

  app.delete<WithName>(path, caller, async (request, reply) => {
    const name = nameOf(request);
    if (!mayReach(request, name)) throw absent();
    const outcome = await items.delete(name, { expected: readExpected(request), nowMs: clock.now() });
    if (outcome === 'absent') throw absent();
    if (outcome === 'unexpected') throw unexpected();
    return reply.code(204).send();
  });

  app.get('/v1/store', caller, async request => {
    const { cursor, limit, namespace, prefix } = checkFields(request.query, itemListQuery);
    const after = cursor === undefined ? undefined : readCursor(cursor);
    const { tenant } = request.caller;
    const page = await items.list({ tenant, namespace, prefix, after, limit, nowMs: clock.now() });
    const last = page.length === limit ? page.at(-1) : undefined;
    const shown = page.filter(item => mayReach(request, item)).map(showSummary);
    return { items: shown, ...(last !== undefined && { next_cursor: nameCursor(last.namespace, last.key) }) };
  });
}

function nameOf(request: FastifyRequest): ItemName {
  return { tenant: request.caller.tenant, ...checkFields(request.params, itemParams) };
}

const mayReach = ({ caller: by }: FastifyRequest, { namespace, key }: ItemName) =>
  maySee(by, { namespace, name: key });

function readCursor(cursor: string): readonly [string, string] {
  const [namespace = '', key = ''] = readNameCursor(cursor).split('\n');
  return [namespace, key];
}

function noRoom(): GatewayError {
  return new GatewayError('conflict', 'The organisation has as much in its store as it may.', {
    reason: 'store_full',
  });
}

function absent(): GatewayError {
  return new GatewayError('not_found', 'There is no such item.', { reason: 'item_not_found' });
}

function show({ value, ...item }: StoreItem) {
  return { ...showSummary(item), value };
}

function showSummary({ namespace, key, revision, principal, ...at }: ItemSummary) {
  return {
    namespace,
    key,
    revision,
    principal,
    created_at: new Date(at.createdAtMs).toISOString(),
    updated_at: new Date(at.updatedAtMs).toISOString(),
    ...(at.expiresAtMs !== undefined && { expires_at: new Date(at.expiresAtMs).toISOString() }),
  };
}
