import { GatewayError } from '../errors/gateway-error.ts';
import type { ChangedSubject, IdentityTransaction } from './identity-changes.ts';
import type { TreePath } from './tree.ts';
import { type NewNode, type NodeRow, toNodeRow } from './tree-rows.ts';

/** Makes what is missing of a path, and returns what it made. @throws GatewayError conflict (`node_elsewhere`). */
export async function plantPath(
  transaction: IdentityTransaction,
  path: TreePath,
  nowMs: number,
): Promise<ChangedSubject[]> {
  const { tenant, team, project, principal, principalKind } = path;
  const wanted: NewNode[] = [
    { tenant, kind: 'organisation', id: tenant },
    { tenant, kind: 'team', id: team, parent: tenant },
    { tenant, kind: 'project', id: project, parent: team },
    { tenant, kind: 'principal', id: principal, parent: project, principalKind },
  ];
  const made: ChangedSubject[] = [];
  for (const node of wanted) {
    const row = toNodeRow(node, nowMs);
    const inserted = await transaction
      .insertInto('tree_nodes')
      .values(row)
      .onConflict(conflict => conflict.columns(['tenant', 'kind', 'id']).doNothing())
      .executeTakeFirst();
    if ((inserted.numInsertedOrUpdatedRows ?? 0n) > 0n) made.push({ tenant, kind: node.kind, id: node.id });
    else await requireParent(transaction, row);
  }
  return made;
}

async function requireParent(transaction: IdentityTransaction, wanted: NodeRow): Promise<void> {
  const found = await transaction
    .selectFrom('tree_nodes')
    .select('parent')
    .where('tenant', '=', wanted.tenant)
    .where('kind', '=', wanted.kind)
    .where('id', '=', wanted.id)
    .executeTakeFirstOrThrow();
  if (found.parent === wanted.parent) return;
  throw new GatewayError(
    'conflict',
    `The ${wanted.kind} '${wanted.id}' belongs to '${found.parent}', not to '${wanted.parent}'.`,
    { reason: 'node_elsewhere', param: wanted.kind },
  );
}
