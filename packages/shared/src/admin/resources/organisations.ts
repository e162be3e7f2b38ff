import * as z from 'zod';
import type { TreeNode } from '../../identity/tree.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { pageOf, pageQuery, readPage } from './list-page.ts';
import { idParams, nodeAnswer, nodeChange, nodeFields, showNode, toNodeChange } from './tree.ts';

/** Organisations: made and listed by keys of the installation, read and changed by their own people too. */
export function organisationRoutes(deps: AdminDeps): AdminRoute[] {
  return [listOrganisations(deps), createOrganisation(deps), getOrganisation(deps), changeOrganisation(deps)];
}

function listOrganisations({ tree }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/organisations',
    operation: 'organisation.list',
    summary: 'All organisations, by id.',
    roles: ['owner'],
    installationOnly: true,
    query: z.object(pageQuery),
    answer: pageOf(z.object({ id: z.string() })),
    handle: ({ query }, context) =>
      readPage(context, query, {
        read: page => tree.listTenants(page),
        positionOf: id => id,
        show: id => ({ id }),
      }),
  });
}

function createOrganisation({ tree }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/organisations',
    operation: 'organisation.create',
    summary: 'Make an organisation.',
    roles: ['owner'],
    installationOnly: true,
    changes: true,
    status: 201,
    body: z.strictObject(nodeFields),
    answer: nodeAnswer,
    handle: async ({ body }, context) => {
      const { id, name, metadata, expires_at: end } = body;
      const expiresAtMs = end === undefined ? undefined : Date.parse(end);
      const node = await tree.create(
        { tenant: id, kind: 'organisation', id, name, metadata, expiresAtMs },
        context.change<TreeNode>(made => ({ type: 'organisation', id: made.id })),
      );
      return { body: showNode(node), revision: node.revision };
    },
  });
}

/** The organisation of the path, for its own people and for keys of the installation. */
async function findReachable({ tree }: AdminDeps, { caller }: AdminContext, id: string): Promise<TreeNode> {
  const isReachable = id === caller.tenant || caller.isAdmin;
  const node = isReachable ? await tree.find({ tenant: id, kind: 'organisation', id }) : undefined;
  if (node === undefined) throw absent('organisation');
  return node;
}

function getOrganisation(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/organisations/:id',
    operation: 'organisation.get',
    summary: 'One organisation.',
    roles: ['owner', 'operator', 'auditor', 'member'],
    params: idParams,
    answer: nodeAnswer,
    handle: async ({ params }, context) => {
      const node = await findReachable(deps, context, params.id);
      return { body: showNode(node), revision: node.revision };
    },
  });
}

function changeOrganisation(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'PATCH',
    path: '/organisations/:id',
    operation: 'organisation.change',
    summary: 'Change an organisation.',
    roles: ['owner'],
    changes: true,
    needsRevision: true,
    params: idParams,
    body: nodeChange,
    answer: nodeAnswer,
    handle: async ({ params, body }, context) => {
      const { id, tenant } = await findReachable(deps, context, params.id);
      const node = await deps.tree.change(
        { tenant, kind: 'organisation', id },
        toNodeChange(body),
        context.change<TreeNode>(changed => ({
          type: 'organisation',
          id: changed.id,
          details: { changed: body },
        })),
      );
      return { body: showNode(node), revision: node.revision };
    },
  });
}
