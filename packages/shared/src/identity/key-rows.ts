import type { Kysely } from 'kysely';
import type { IdentitySchema } from './identity-schema.ts';
import { readScopes, type Scopes } from './scopes.ts';
import { type Metadata, principalKinds, type Role, type TreePath } from './tree.ts';

/** A virtual key as it may be shown: everything but the key. */
export interface VirtualKey extends TreePath {
  readonly id: string;
  readonly name: string;
  /** The first characters of the key. */
  readonly prefix: string;
  /** Whether it may act on the installation as a whole, beyond its organisation. */
  readonly isAdmin: boolean;
  /** What it may do in the admin API of its organisation. */
  readonly roles: readonly Role[];
  readonly scopes: Scopes;
  readonly tags: readonly string[];
  readonly metadata: Metadata;
  /** Rises with every change of the key: the ETag. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly disabledAtMs: number | undefined;
  /** Until when the key before the last rotation works too. */
  readonly previousUntilMs: number | undefined;
  /** Whether a node above the key is disabled or missing. */
  readonly isStoppedAbove: boolean;
  /** The first end of a node above the key. */
  readonly endsAboveAtMs: number | undefined;
}

/** Keys with where they stand in the tree. */
export function selectKeys(db: Kysely<IdentitySchema>) {
  return db
    .selectFrom('virtual_keys as key')
    .leftJoin('tree_nodes as principal', join =>
      join
        .onRef('principal.tenant', '=', 'key.tenant')
        .on('principal.kind', '=', 'principal')
        .onRef('principal.id', '=', 'key.principal'),
    )
    .leftJoin('tree_nodes as project', join =>
      join
        .onRef('project.tenant', '=', 'key.tenant')
        .on('project.kind', '=', 'project')
        .onRef('project.id', '=', 'principal.parent'),
    )
    .leftJoin('tree_nodes as team', join =>
      join
        .onRef('team.tenant', '=', 'key.tenant')
        .on('team.kind', '=', 'team')
        .onRef('team.id', '=', 'project.parent'),
    )
    .leftJoin('tree_nodes as organisation', join =>
      join
        .onRef('organisation.tenant', '=', 'key.tenant')
        .on('organisation.kind', '=', 'organisation')
        .onRef('organisation.id', '=', 'key.tenant'),
    )
    .selectAll('key')
    .select([
      'principal.principal_kind as principal_kind',
      'project.id as project_id',
      'team.id as team_id',
      'organisation.id as organisation_id',
      'principal.expires_at_ms as principal_expires',
      'project.expires_at_ms as project_expires',
      'team.expires_at_ms as team_expires',
      'organisation.expires_at_ms as organisation_expires',
      'principal.disabled_at_ms as principal_disabled',
      'project.disabled_at_ms as project_disabled',
      'team.disabled_at_ms as team_disabled',
      'organisation.disabled_at_ms as organisation_disabled',
    ]);
}

export type KeyRow = IdentitySchema['virtual_keys'];
type SelectedKey = Awaited<ReturnType<ReturnType<typeof selectKeys>['executeTakeFirstOrThrow']>>;

export function fromRow(row: SelectedKey): VirtualKey {
  const ends = [row.principal_expires, row.project_expires, row.team_expires, row.organisation_expires];
  const stops = [row.principal_disabled, row.project_disabled, row.team_disabled, row.organisation_disabled];
  const isMissing = row.organisation_id === null || row.team_id === null;
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    tenant: row.tenant,
    team: row.team_id ?? '',
    project: row.project_id ?? '',
    principal: row.principal,
    principalKind: principalKinds.find(kind => kind === row.principal_kind) ?? 'user',
    isAdmin: Number(row.is_admin) === 1,
    roles: JSON.parse(row.roles) as Role[], // these four are written by the key store only
    scopes: readScopes(JSON.parse(row.scopes) as Partial<Scopes>),
    tags: JSON.parse(row.tags) as string[],
    metadata: JSON.parse(row.metadata) as Metadata,
    revision: Number(row.revision),
    createdAtMs: Number(row.created_at_ms),
    expiresAtMs: timeOf(row.expires_at_ms),
    disabledAtMs: timeOf(row.disabled_at_ms),
    previousUntilMs: timeOf(row.previous_until_ms),
    isStoppedAbove: isMissing || stops.some(stop => stop !== null),
    endsAboveAtMs: earliest(ends.map(timeOf)),
  };
}

function timeOf(value: number | null): number | undefined {
  return value === null ? undefined : Number(value);
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter(time => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
