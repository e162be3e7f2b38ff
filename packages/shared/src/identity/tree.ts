import { hash } from 'node:crypto';
import * as z from 'zod';

/**
 * Who there is: organisation → team → project → principal. The organisation is the tenant, the boundary that nothing crosses. Ids of teams,
 * projects and principals are unique within their organisation.
 */
export const nodeKinds = ['organisation', 'team', 'project', 'principal'] as const;
export type NodeKind = (typeof nodeKinds)[number];

export const principalKinds = ['user', 'service', 'agent'] as const;
export type PrincipalKind = (typeof principalKinds)[number];

/** Where a principal stands in the tree. */
export interface TreePath {
  /** Id of the organisation. */
  readonly tenant: string;
  readonly team: string;
  readonly project: string;
  /** Id of who asks and is billed. */
  readonly principal: string;
  readonly principalKind: PrincipalKind;
}

/** The team and the project of whoever was given none. */
export const defaultTeam = 'default';
export const defaultProject = 'default';

const maxIdLength = 200;

/** The project of whoever was given a team alone: ids are unique in the organisation, so each team has one of another name. Where the id would be too long, it is a digest. */
export function defaultProjectOf(team: string): string {
  if (team === defaultTeam) return defaultProject;
  const id = `${team}-default`;
  return id.length <= maxIdLength ? id : `${hash('sha256', team)}-default`;
}

/**
 * What a key may do in the admin API of its organisation: an owner everything, an operator everything but keys and members, an auditor only
 * read, a member what concerns the key's own team.
 */
export const roles = ['owner', 'operator', 'auditor', 'member'] as const;
export type Role = (typeof roles)[number];

export interface TreeNode {
  readonly tenant: string;
  readonly kind: NodeKind;
  readonly id: string;
  /** Id of the node above, whose kind follows from this one's; undefined above an organisation. */
  readonly parent: string | undefined;
  /** Of principals only. */
  readonly principalKind: PrincipalKind | undefined;
  readonly name: string;
  readonly metadata: Metadata;
  /** Rises with every change: the ETag. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly disabledAtMs: number | undefined;
}

export type Metadata = Readonly<Record<string, string>>;

/** Ids may come from outside (a `sub` of an identity provider): visible characters, no space. */
export const nodeIdSchema = z
  .string()
  .max(maxIdLength)
  .regex(/^[^\s\p{C}]+$/u, 'expected visible characters without spaces');

export function parentKind(kind: NodeKind): NodeKind | undefined {
  return nodeKinds[nodeKinds.indexOf(kind) - 1];
}
