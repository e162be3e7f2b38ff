import * as z from 'zod';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { VirtualKey } from '../../identity/key-store.ts';
import type { Scopes } from '../../identity/scopes.ts';
import { nodeIdSchema, principalKinds, type Role, roles } from '../../identity/tree.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { keyAnswer, keyName, keyWithSecret, scopes, showKey, tags } from './key-fields.ts';
import { moment, pageOf, pageQuery, readPage } from './list-page.ts';
import { idParams, metadata } from './tree.ts';

const readers: readonly Role[] = ['owner', 'operator', 'auditor', 'member'];
const target = ({ id, principal, prefix }: VirtualKey) => ({
  type: 'key',
  id,
  details: { principal, prefix },
});

/** Virtual keys. Their secrets are in the answers of `create` and `rotate` and nowhere else. */
export function keyRoutes(deps: AdminDeps): AdminRoute[] {
  return [
    listKeys(deps),
    createKey(deps),
    getKey(deps),
    changeKey(deps),
    rotateKey(deps),
    disableKey(deps),
    deleteKey(deps),
  ];
}

function listKeys({ keys }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/keys',
    operation: 'key.list',
    summary: 'The keys of the organisation, in the order they were made.',
    roles: readers,
    query: z.object({
      ...pageQuery,
      team: z.string().max(200).optional(),
      principal: z.string().max(200).optional(),
    }),
    answer: pageOf(keyAnswer),
    handle: async ({ query }, context) => {
      const { tenant, onlyTeam } = context;
      if (onlyTeam !== undefined && query.team !== undefined && query.team !== onlyTeam)
        return { body: { items: [] } };
      const filter = { tenant, team: onlyTeam ?? query.team, principal: query.principal };
      return readPage(context, query, {
        read: page => keys.list({ ...filter, ...page }),
        positionOf: key => key.id,
        show: showKey,
      });
    },
  });
}

function createKey({ keys }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/keys',
    operation: 'key.create',
    summary: 'Make a key. The answer holds it this once.',
    roles: ['owner'],
    changes: true,
    status: 201,
    body: z.strictObject({
      name: keyName,
      principal: nodeIdSchema,
      principal_kind: z.enum(principalKinds).default('user'),
      team: nodeIdSchema.optional(),
      project: nodeIdSchema.optional(),
      is_admin: z.boolean().default(false),
      roles: z.array(z.enum(roles)).max(roles.length).optional(),
      scopes: scopes.optional(),
      tags: tags.optional(),
      metadata: metadata.optional(),
      expires_at: moment.optional(),
    }),
    answer: keyWithSecret,
    handle: async ({ body }, context) => {
      const { principal_kind: principalKind, is_admin: isAdmin, expires_at: end, ...rest } = body;
      if (isAdmin) requireInstallation(context);
      const { key, secret } = await keys.create(
        {
          ...rest,
          tenant: context.tenant,
          principalKind,
          isAdmin,
          expiresAtMs: end === undefined ? undefined : Date.parse(end),
        },
        context.change<VirtualKey>(target),
      );
      return { body: { ...showKey(key), key: secret.reveal() }, revision: key.revision };
    },
  });
}

/** A key of the installation is out of reach for the people of one organisation, whatever their role. */
function requireInstallation({ caller }: AdminContext): void {
  if (caller.isAdmin) return;
  throw new GatewayError('permission_denied', 'Only a key of the installation may touch such a key.', {
    reason: 'role_required',
  });
}

export async function findKey({ keys }: AdminDeps, context: AdminContext, id: string): Promise<VirtualKey> {
  const { tenant, onlyTeam } = context;
  const key = await keys.findById(id);
  if (key === undefined || key.tenant !== tenant) throw absent('key');
  if (onlyTeam !== undefined && key.team !== onlyTeam) throw absent('key');
  return key;
}

async function requireChangeable(deps: AdminDeps, context: AdminContext, id: string): Promise<void> {
  const key = await findKey(deps, context, id);
  if (key.isAdmin) requireInstallation(context);
}

function getKey(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/keys/:id',
    operation: 'key.get',
    summary: 'One key, without its secret.',
    roles: readers,
    params: idParams,
    answer: keyAnswer,
    handle: async ({ params }, context) => {
      const key = await findKey(deps, context, params.id);
      return { body: showKey(key), revision: key.revision };
    },
  });
}

function changeKey(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'PATCH',
    path: '/keys/:id',
    operation: 'key.change',
    summary: 'Change a key. It takes effect everywhere within a second.',
    roles: ['owner'],
    changes: true,
    needsRevision: true,
    params: idParams,
    body: z
      .strictObject({
        name: keyName,
        roles: z.array(z.enum(roles)).max(roles.length),
        scopes,
        tags,
        metadata,
        expires_at: moment.nullable(),
        disabled: z.boolean(),
      })
      .partial(),
    answer: keyAnswer,
    handle: async ({ params, body }, context) => {
      await requireChangeable(deps, context, params.id);
      const { expires_at: end, disabled, scopes: wanted, ...rest } = body;
      const scopesChange: Scopes | undefined = wanted;
      const key = await deps.keys.change(
        params.id,
        {
          ...rest,
          scopes: scopesChange,
          expiresAtMs: end === null || end === undefined ? end : Date.parse(end),
          isDisabled: disabled,
        },
        {
          tenant: context.tenant,
          ...context.change<VirtualKey>(changed => ({
            ...target(changed),
            details: { ...target(changed).details, changed: body },
          })),
        },
      );
      return { body: showKey(key), revision: key.revision };
    },
  });
}

function rotateKey(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/keys/:id/rotate',
    operation: 'key.rotate',
    summary: 'Give a key a new secret, shown this once. The one before works for the grace period.',
    roles: ['owner'],
    changes: true,
    params: idParams,
    body: z.strictObject({ grace_seconds: z.int().min(0).max(31_536_000).default(3600) }),
    answer: keyWithSecret,
    handle: async ({ params, body }, context) => {
      await requireChangeable(deps, context, params.id);
      const { key, secret } = await deps.keys.rotate(params.id, {
        graceMs: body.grace_seconds * 1000,
        tenant: context.tenant,
        ...context.change<VirtualKey>(target),
      });
      return { body: { ...showKey(key), key: secret.reveal() }, revision: key.revision };
    },
  });
}

function disableKey(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/keys/:id/disable',
    operation: 'key.disable',
    summary: 'Stop a key from working, everywhere within a second.',
    roles: ['owner'],
    changes: true,
    status: 204,
    params: idParams,
    handle: async ({ params }, context) => {
      await requireChangeable(deps, context, params.id);
      await deps.keys.disable(params.id, { tenant: context.tenant, ...context.change<VirtualKey>(target) });
      return { body: undefined };
    },
  });
}

function deleteKey(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'DELETE',
    path: '/keys/:id',
    operation: 'key.delete',
    summary: 'Remove a key for good. What it used stays in the ledger.',
    roles: ['owner'],
    changes: true,
    needsRevision: true,
    status: 204,
    params: idParams,
    handle: async ({ params }, context) => {
      await requireChangeable(deps, context, params.id);
      await deps.keys.delete(params.id, { tenant: context.tenant, ...context.change<VirtualKey>(target) });
      return { body: undefined };
    },
  });
}
