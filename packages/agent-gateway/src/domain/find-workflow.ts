import type { Journal, StoredWorkflow } from './journal.ts';

interface WorkflowId {
  readonly namespace: string;
  readonly name: string;
  /** `latest`: the highest version that is stored, a release before what comes before a release. */
  readonly version: string;
}

const pageSize = 200;

/** The version that a reference stands for now (specification 1.0, "Workflow Process"). */
export async function findWorkflow(
  journal: Pick<Journal, 'getWorkflow' | 'listWorkflows'>,
  tenant: string,
  id: WorkflowId,
): Promise<StoredWorkflow | undefined> {
  // No workflow has such a name, and not every store can look for one.
  if ([id.namespace, id.name, id.version].some(text => text.includes('\0'))) return undefined;
  if (id.version !== 'latest') return journal.getWorkflow(tenant, id);
  let latest: StoredWorkflow | undefined;
  let after = `${id.namespace}\n${id.name}\n`;
  for (;;) {
    const page = await journal.listWorkflows(tenant, { after, limit: pageSize });
    const same = page.filter(each => each.namespace === id.namespace && each.name === id.name);
    for (const each of same)
      if (latest === undefined || comparePrecedence(each.version, latest.version) >= 0) latest = each;
    const last = same.at(-1);
    if (last === undefined || same.length < pageSize) return latest;
    after = `${last.namespace}\n${last.name}\n${last.version}`;
  }
}

/** Semantic Versioning 2.0.0 section 11, but any release comes after all that is none. */
function comparePrecedence(left: string, right: string): number {
  const [one, other] = [readVersion(left), readVersion(right)];
  if (one.isRelease !== other.isRelease) return one.isRelease ? 1 : -1;
  return compareParts(one.core, other.core) || compareParts(one.before, other.before);
}

function readVersion(version: string) {
  const [withoutBuild = ''] = version.split('+', 1);
  const dash = withoutBuild.indexOf('-');
  const core = dash < 0 ? withoutBuild : withoutBuild.slice(0, dash);
  const before = dash < 0 ? [] : withoutBuild.slice(dash + 1).split('.');
  return { core: core.split('.'), before, isRelease: dash < 0 };
}

function compareParts(left: readonly string[], right: readonly string[]): number {
  for (const [index, part] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    if (part !== other) return comparePart(part, other);
  }
  return left.length - right.length;
}

function comparePart(left: string, right: string): number {
  const [one, other] = [left, right].map(part => (/^\d+$/.test(part) ? Number(part) : undefined));
  if (one !== undefined && other !== undefined) return one - other;
  if (one !== undefined || other !== undefined) return one === undefined ? 1 : -1;
  return left < right ? -1 : 1;
}
