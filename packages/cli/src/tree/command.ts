import { systemClock } from '@strata/shared/clock.ts';
import { type NodeKind, nodeKinds, type TreeNode } from '@strata/shared/identity/tree.ts';
import { createTreeStore, type TreeStore } from '@strata/shared/identity/tree-store.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';
import { requireOrganisation } from './require-organisation.ts';

export interface TreeOptions {
  readonly tenant?: string;
}

const pageSize = 500;

/** `strata tree`: organisations, teams, projects and principals, each below the one it belongs to. */
export async function showTree({ tenant }: TreeOptions): Promise<void> {
  await withSqlStore(loadSharedConfig(), async sql => {
    const tree = createTreeStore({ sql, clock: systemClock });
    if (tenant !== undefined) return showOrganisation(tree, tenant);
    let after: string | undefined;
    do {
      const page = await tree.listTenants({ after, limit: pageSize });
      for (const id of page) await showOrganisation(tree, id);
      after = page.length === pageSize ? page.at(-1) : undefined;
    } while (after !== undefined);
  });
}

async function showOrganisation(tree: TreeStore, tenant: string): Promise<void> {
  await showNode(tree, await requireOrganisation(tree, tenant));
}

async function showNode(tree: TreeStore, node: TreeNode): Promise<void> {
  const depth = nodeKinds.indexOf(node.kind);
  const state = node.disabledAtMs !== undefined ? ' (disabled)' : '';
  process.stdout.write(`${'  '.repeat(depth)}${node.kind} ${node.id}${state}\n`);
  const kind: NodeKind | undefined = nodeKinds[depth + 1];
  if (kind === undefined) return;
  let after: string | undefined;
  do {
    const page = await tree.list({ tenant: node.tenant, kind, parent: node.id, after, limit: pageSize });
    for (const child of page) await showNode(tree, child);
    after = page.length === pageSize ? page.at(-1)?.id : undefined;
  } while (after !== undefined);
}
