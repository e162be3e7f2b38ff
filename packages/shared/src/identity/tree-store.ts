import { GatewayError } from '../errors/gateway-error.ts';
import {
  type ChangedSubject,
  type IdentityTransaction,
  type IdentityWriter,
  writeChange,
} from './identity-changes.ts';
import { type Metadata, type NodeKind, parentKind, type TreeNode, type TreePath } from './tree.ts';
import { plantPath } from './tree-path.ts';
import { fromNodeRow, type NewNode, toNodeRow } from './tree-rows.ts';

/** What else happens in the transaction of a change, and on which revision it was decided. */
export interface ChangeOptions<Changed> {
  /** Refuses the change when the record has another revision by now (If-Match). */
  readonly revision?: number | undefined;
  /** Runs in the same transaction, after the change: the audit's place. */
  readonly record?: ((transaction: IdentityTransaction, changed: Changed) => Promise<void>) | undefined;
}

export interface NodeAddress {
  readonly tenant: string;
  readonly kind: NodeKind;
  readonly id: string;
}

/** What may change of a node. `null` removes; what is left out stays. */
export interface NodeChange {
  readonly name?: string | undefined;
  readonly metadata?: Metadata | undefined;
  readonly expiresAtMs?: number | null | undefined;
  readonly isDisabled?: boolean | undefined;
}

/** Whether a principal may do anything at the moment, by what stands above it and itself. */
export interface Standing extends TreePath {
  readonly isStopped: boolean;
  /** Wall clock milliseconds of the first end of a node of the path. */
  readonly endsAtMs: number | undefined;
}

/** The tree of organisations, teams, projects and principals. Every method but `create` of an organisation stays within one tenant. */
export interface TreeStore {
  /** @throws GatewayError conflict (`node_exists`), not_found (`unknown_node`: the parent), invalid_request (`node_invalid`). */
  create(node: NewNode, options?: ChangeOptions<TreeNode>): Promise<TreeNode>;
  find(address: NodeAddress): Promise<TreeNode | undefined>;
  /** Undefined when the organisation has no such principal. */
  findStanding(tenant: string, principal: string): Promise<Standing | undefined>;
  /** Makes what is missing of a path, as for a key. @throws GatewayError conflict (`node_elsewhere`), invalid_request (`node_invalid`). */
  plant(path: TreePath): Promise<void>;
  /** Nodes of one kind by id, from the one after `after`. */
  list(page: {
    readonly tenant: string;
    readonly kind: NodeKind;
    readonly parent?: string | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  }): Promise<TreeNode[]>;
  /** Ids of organisations, from the one after `after`. */
  listTenants(page: { readonly after?: string | undefined; readonly limit: number }): Promise<string[]>;
  /**
   * A node that is disabled or past its end stops every key below it, everywhere within a second.
   * @throws GatewayError not_found (`unknown_node`), conflict (`revision_mismatch`).
   */
  change(address: NodeAddress, change: NodeChange, options?: ChangeOptions<TreeNode>): Promise<TreeNode>;
}

export function createTreeStore(writer: IdentityWriter): TreeStore {
  const { db } = writer.sql;
  const find = async ({ tenant, kind, id }: NodeAddress): Promise<TreeNode | undefined> => {
    const row = await db
      .selectFrom('tree_nodes')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('kind', '=', kind)
      .where('id', '=', id)
      .executeTakeFirst();
    return row && fromNodeRow(row);
  };
  return {
    create: (node, options) =>
      writeChange(writer, async transaction => {
        const created = await insertNode(transaction, node, writer.clock.now());
        await options?.record?.(transaction, created);
        return { result: created, changed: [subjectOf(created)] };
      }),
    find,
    async findStanding(tenant, principal) {
      const nodes: TreeNode[] = [];
      for (
        let kind: NodeKind | undefined = 'principal', id: string | undefined = principal;
        kind !== undefined;
      ) {
        const node: TreeNode | undefined = await find({ tenant, kind, id: id ?? '' });
        if (node === undefined) break;
        nodes.push(node);
        kind = parentKind(kind);
        id = node.parent;
      }
      return standingOf(nodes);
    },
    plant: path =>
      writeChange(writer, async transaction => ({
        result: undefined,
        changed: await plantPath(transaction, path, writer.clock.now()),
      })),
    async list({ tenant, kind, parent, after, limit }) {
      const rows = await db
        .selectFrom('tree_nodes')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('kind', '=', kind)
        .$if(parent !== undefined, each => each.where('parent', '=', parent ?? ''))
        .$if(after !== undefined, each => each.where('id', '>', after ?? ''))
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(fromNodeRow);
    },
    async listTenants({ after, limit }) {
      const rows = await db
        .selectFrom('tree_nodes')
        .select('tenant')
        .where('kind', '=', 'organisation')
        .$if(after !== undefined, each => each.where('tenant', '>', after ?? ''))
        .orderBy('tenant')
        .limit(limit)
        .execute();
      return rows.map(row => row.tenant);
    },
    change: (address, change, options) =>
      writeChange(writer, async transaction => {
        const changed = await updateNode(transaction, address, change, {
          nowMs: writer.clock.now(),
          ...options,
        });
        await options?.record?.(transaction, changed);
        return { result: changed, changed: [subjectOf(changed)] };
      }),
  };
}

/** From a principal up to its organisation. */
function standingOf(nodes: readonly TreeNode[]): Standing | undefined {
  const [principal, project, team, organisation] = nodes;
  if (principal === undefined) return undefined;
  const ends = nodes.map(node => node.expiresAtMs).filter(end => end !== undefined);
  return {
    tenant: principal.tenant,
    team: team?.id ?? '',
    project: project?.id ?? '',
    principal: principal.id,
    principalKind: principal.principalKind ?? 'user',
    isStopped: organisation === undefined || nodes.some(node => node.disabledAtMs !== undefined),
    endsAtMs: ends.length === 0 ? undefined : Math.min(...ends),
  };
}

async function insertNode(transaction: IdentityTransaction, node: NewNode, nowMs: number): Promise<TreeNode> {
  const row = toNodeRow(node, nowMs);
  const above = parentKind(node.kind);
  if (above !== undefined) {
    const parent = await transaction
      .selectFrom('tree_nodes')
      .select('id')
      .where('tenant', '=', node.tenant)
      .where('kind', '=', above)
      .where('id', '=', row.parent ?? '')
      .executeTakeFirst();
    if (parent === undefined) throw unknownNode(above, row.parent ?? '');
  }
  const inserted = await transaction
    .insertInto('tree_nodes')
    .values(row)
    .onConflict(conflict => conflict.columns(['tenant', 'kind', 'id']).doNothing())
    .executeTakeFirst();
  if ((inserted.numInsertedOrUpdatedRows ?? 0n) === 0n) {
    throw new GatewayError('conflict', `There is a ${node.kind} '${node.id}' already.`, {
      reason: 'node_exists',
    });
  }
  return fromNodeRow(row);
}

async function updateNode(
  transaction: IdentityTransaction,
  { tenant, kind, id }: NodeAddress,
  change: NodeChange,
  { nowMs, revision }: { nowMs: number; revision?: number | undefined },
): Promise<TreeNode> {
  const { name, metadata, expiresAtMs, isDisabled } = change;
  const row = await transaction
    .updateTable('tree_nodes')
    .set(current => ({
      revision: current('revision', '+', 1),
      ...(name !== undefined && { name }),
      ...(metadata !== undefined && { metadata: JSON.stringify(metadata) }),
      ...(expiresAtMs !== undefined && { expires_at_ms: expiresAtMs }),
      ...(isDisabled !== undefined && { disabled_at_ms: isDisabled ? nowMs : null }),
    }))
    .where('tenant', '=', tenant)
    .where('kind', '=', kind)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw unknownNode(kind, id);
  requireRevision(Number(row.revision) - 1, revision);
  return fromNodeRow(row);
}

/** Thrown inside the transaction, which then changes nothing. */
export function requireRevision(actual: number, wanted: number | undefined): void {
  if (wanted === undefined || wanted === actual) return;
  throw new GatewayError(
    'conflict',
    `The record was changed meanwhile: it has revision ${actual}, not ${wanted}.`,
    {
      reason: 'revision_mismatch',
    },
  );
}

function unknownNode(kind: NodeKind, id: string): GatewayError {
  return new GatewayError('not_found', `There is no ${kind} '${id.slice(0, 200)}'.`, {
    reason: 'unknown_node',
  });
}

function subjectOf({ tenant, kind, id }: TreeNode): ChangedSubject {
  return { tenant, kind, id };
}
