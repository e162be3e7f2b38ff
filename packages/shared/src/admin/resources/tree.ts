import * as z from 'zod';
import {
  type NodeKind,
  nodeIdSchema,
  principalKinds,
  type Role,
  type TreeNode,
} from '../../identity/tree.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { moment, pageOf, pageQuery, readPage, showMoment } from './list-page.ts';

export const metadata = z
  .record(z.string().min(1).max(100), z.string().max(1000))
  .refine(value => Object.keys(value).length <= 50, 'at most 50 members');

export const nodeAnswer = z.object({
  id: z.string(),
  kind: z.enum(['organisation', 'team', 'project', 'principal']),
  organisation: z.string(),
  parent: z.string().optional(),
  principal_kind: z.enum(principalKinds).optional(),
  name: z.string(),
  metadata: z.record(z.string(), z.string()),
  revision: z.int(),
  created_at: moment,
  expires_at: moment.optional(),
  disabled_at: moment.optional(),
});

export function showNode(node: TreeNode): z.input<typeof nodeAnswer> {
  return {
    id: node.id,
    kind: node.kind,
    organisation: node.tenant,
    ...(node.parent !== undefined && { parent: node.parent }),
    ...(node.principalKind !== undefined && { principal_kind: node.principalKind }),
    name: node.name,
    metadata: { ...node.metadata },
    revision: node.revision,
    created_at: showMoment(node.createdAtMs),
    expires_at: showMoment(node.expiresAtMs),
    disabled_at: showMoment(node.disabledAtMs),
  };
}

export const nodeChange = z
  .strictObject({
    name: z.string().min(1).max(200),
    metadata,
    expires_at: moment.nullable(),
    disabled: z.boolean().describe('Stops every key below, everywhere within a second.'),
  })
  .partial();

export function toNodeChange(body: z.output<typeof nodeChange>) {
  const { name, metadata: members, expires_at: end, disabled } = body;
  return {
    name,
    metadata: members,
    expiresAtMs: end === null || end === undefined ? end : Date.parse(end),
    isDisabled: disabled,
  };
}

export const nodeFields = {
  id: nodeIdSchema,
  name: z.string().min(1).max(200).optional(),
  metadata: metadata.optional(),
  expires_at: moment.optional(),
};

const readers: readonly Role[] = ['owner', 'operator', 'auditor', 'member'];
export const idParams = z.object({ id: z.string() });

interface KindOfNode {
  readonly kind: Exclude<NodeKind, 'organisation'>;
  readonly path: string;
  /** The parent's kind, as a member of the body. */
  readonly parent: 'team' | 'project' | undefined;
  readonly writers: readonly Role[];
}

const kinds: readonly KindOfNode[] = [
  { kind: 'team', path: '/teams', parent: undefined, writers: ['owner', 'operator'] },
  { kind: 'project', path: '/projects', parent: 'team', writers: ['owner', 'operator'] },
  { kind: 'principal', path: '/principals', parent: 'project', writers: ['owner'] },
];

/** Teams, projects and principals of an organisation. */
export function treeRoutes(deps: AdminDeps): AdminRoute[] {
  return kinds.flatMap(each => [
    listNodes(deps, each),
    createNode(deps, each),
    getNode(deps, each),
    changeNode(deps, each),
  ]);
}

function listNodes({ tree }: AdminDeps, { kind, path, parent }: KindOfNode): AdminRoute {
  return defineRoute({
    method: 'GET',
    path,
    operation: `${kind}.list`,
    summary: `The ${kind}s of the organisation, by id.`,
    roles: readers,
    query: z.object({ ...pageQuery, ...(parent && { parent: z.string().max(200).optional() }) }),
    answer: pageOf(nodeAnswer),
    handle: async ({ query }, context) => {
      const wanted = 'parent' in query && typeof query.parent === 'string' ? query.parent : undefined;
      return readPage(context, query, {
        read: page => listVisible(tree, context, { kind, parent: wanted, ...page }),
        positionOf: node => node.id,
        show: showNode,
      });
    },
  });
}

/** Nodes that the caller may see. A member's are few enough to be filtered one by one. */
async function listVisible(
  tree: AdminDeps['tree'],
  context: AdminContext,
  wanted: { kind: KindOfNode['kind']; parent: string | undefined; after: string | undefined; limit: number },
): Promise<TreeNode[]> {
  const { tenant, onlyTeam } = context;
  if (onlyTeam === undefined) return tree.list({ tenant, ...wanted });
  const seen: TreeNode[] = [];
  let { after } = wanted;
  for (;;) {
    const batch = await tree.list({ tenant, ...wanted, after });
    for (const node of batch) if (await isVisible(tree, context, node)) seen.push(node);
    after = batch.at(-1)?.id;
    if (batch.length < wanted.limit || seen.length >= wanted.limit) return seen.slice(0, wanted.limit);
  }
}

/** Whether a member's own team is the node, or above it. */
async function isVisible(
  tree: AdminDeps['tree'],
  { tenant, onlyTeam }: AdminContext,
  node: TreeNode,
): Promise<boolean> {
  if (onlyTeam === undefined) return true;
  if (node.kind === 'team') return node.id === onlyTeam;
  if (node.kind === 'project') return node.parent === onlyTeam;
  const project = await tree.find({ tenant, kind: 'project', id: node.parent ?? '' });
  return project?.parent === onlyTeam;
}

function createNode({ tree }: AdminDeps, { kind, path, parent, writers }: KindOfNode): AdminRoute {
  return defineRoute({
    method: 'POST',
    path,
    operation: `${kind}.create`,
    summary: `Make a ${kind}.`,
    roles: writers,
    changes: true,
    status: 201,
    body: z.strictObject({
      ...nodeFields,
      ...(parent && { [parent]: nodeIdSchema }),
      ...(kind === 'principal' && { kind: z.enum(principalKinds).default('user') }),
    }),
    answer: nodeAnswer,
    handle: async ({ body }, context) => {
      const { id, name, metadata: members, expires_at: end } = body;
      const written: Readonly<Record<string, unknown>> = body;
      const node = await tree.create(
        {
          tenant: context.tenant,
          kind,
          id,
          parent: parent && String(written[parent]),
          principalKind: principalKinds.find(each => each === written.kind),
          name,
          metadata: members,
          expiresAtMs: end === undefined ? undefined : Date.parse(end),
        },
        context.change<TreeNode>(made => ({ type: kind, id: made.id, details: { parent: made.parent } })),
      );
      return { body: showNode(node), revision: node.revision };
    },
  });
}

async function findVisible(
  { tree }: AdminDeps,
  context: AdminContext,
  { kind, id }: { kind: KindOfNode['kind']; id: string },
): Promise<TreeNode> {
  const node = await tree.find({ tenant: context.tenant, kind, id });
  if (node === undefined || !(await isVisible(tree, context, node))) throw absent(kind);
  return node;
}

function getNode(deps: AdminDeps, { kind, path }: KindOfNode): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: `${path}/:id`,
    operation: `${kind}.get`,
    summary: `One ${kind}.`,
    roles: readers,
    params: idParams,
    answer: nodeAnswer,
    handle: async ({ params }, context) => {
      const node = await findVisible(deps, context, { kind, id: params.id });
      return { body: showNode(node), revision: node.revision };
    },
  });
}

function changeNode(deps: AdminDeps, { kind, path, writers }: KindOfNode): AdminRoute {
  return defineRoute({
    method: 'PATCH',
    path: `${path}/:id`,
    operation: `${kind}.change`,
    summary: `Change a ${kind}.`,
    roles: writers,
    changes: true,
    needsRevision: true,
    params: idParams,
    body: nodeChange,
    answer: nodeAnswer,
    handle: async ({ params, body }, context) => {
      await findVisible(deps, context, { kind, id: params.id });
      const node = await deps.tree.change(
        { tenant: context.tenant, kind, id: params.id },
        toNodeChange(body),
        context.change<TreeNode>(changed => ({ type: kind, id: changed.id, details: { changed: body } })),
      );
      return { body: showNode(node), revision: node.revision };
    },
  });
}
