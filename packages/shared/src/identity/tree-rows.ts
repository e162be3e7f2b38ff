import { GatewayError } from '../errors/gateway-error.ts';
import type { IdentitySchema } from './identity-schema.ts';
import {
  type Metadata,
  type NodeKind,
  nodeIdSchema,
  type PrincipalKind,
  principalKinds,
  type TreeNode,
} from './tree.ts';

export interface NewNode {
  readonly tenant: string;
  readonly kind: NodeKind;
  readonly id: string;
  /** Id of the node above; of no use for an organisation, whose id is its tenant. */
  readonly parent?: string | undefined;
  /** Of a principal; `user` when left out. */
  readonly principalKind?: PrincipalKind | undefined;
  readonly name?: string | undefined;
  readonly metadata?: Metadata | undefined;
  readonly expiresAtMs?: number | undefined;
}

export type NodeRow = IdentitySchema['tree_nodes'];

/** @throws GatewayError invalid_request (`node_invalid`). */
export function toNodeRow(node: NewNode, nowMs: number): NodeRow {
  const { kind, id } = node;
  const tenant = kind === 'organisation' ? id : node.tenant;
  for (const [param, value] of Object.entries({ id, tenant })) {
    if (nodeIdSchema.safeParse(value).success) continue;
    throw new GatewayError('invalid_request', 'An id has up to 200 visible characters and no spaces.', {
      reason: 'node_invalid',
      param,
    });
  }
  return {
    tenant,
    kind,
    id,
    parent: kind === 'team' ? tenant : kind === 'organisation' ? null : (node.parent ?? ''),
    principal_kind: kind === 'principal' ? (node.principalKind ?? 'user') : null,
    name: node.name ?? id,
    metadata: JSON.stringify(node.metadata ?? {}),
    revision: 1,
    created_at_ms: nowMs,
    expires_at_ms: node.expiresAtMs ?? null,
    disabled_at_ms: null,
  };
}

export function fromNodeRow(row: NodeRow): TreeNode {
  return {
    tenant: row.tenant,
    kind: row.kind as NodeKind, // written by `toRow` only, as is all below
    id: row.id,
    parent: row.parent ?? undefined,
    principalKind: principalKinds.find(kind => kind === row.principal_kind),
    name: row.name,
    metadata: JSON.parse(row.metadata) as Metadata,
    revision: Number(row.revision),
    createdAtMs: Number(row.created_at_ms),
    expiresAtMs: row.expires_at_ms === null ? undefined : Number(row.expires_at_ms),
    disabledAtMs: row.disabled_at_ms === null ? undefined : Number(row.disabled_at_ms),
  };
}
