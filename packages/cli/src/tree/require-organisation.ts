import type { TreeNode } from '@strata/shared/identity/tree.ts';
import type { TreeStore } from '@strata/shared/identity/tree-store.ts';

/** @throws Error when nobody of that name is known: what is set for it would hold for nobody. */
export async function requireOrganisation(tree: Pick<TreeStore, 'find'>, tenant: string): Promise<TreeNode> {
  const organisation = await tree.find({ tenant, kind: 'organisation', id: tenant });
  if (organisation === undefined) throw new Error(`There is no organisation '${tenant}'.`);
  return organisation;
}
