import type { ColumnTypes, MigrationSet } from '../stores/migrations.ts';

/** Rows as they are stored. Times are milliseconds since the epoch. */
export interface IdentitySchema {
  virtual_keys: {
    id: string;
    /** HMAC-SHA-256 of the key under the pepper, hexadecimal. */
    digest: string;
    name: string;
    prefix: string;
    tenant: string;
    principal: string;
    is_admin: number;
    /** JSON of `Scopes`. */
    scopes: string;
    created_at_ms: number;
    expires_at_ms: number | null;
    disabled_at_ms: number | null;
    /** The key before it was rotated, which still works until `previous_until_ms`. */
    previous_digest: string | null;
    previous_until_ms: number | null;
    /** JSON of `Role[]`. */
    roles: string;
    /** JSON of strings. */
    tags: string;
    /** JSON of `Metadata`. */
    metadata: string;
    revision: number;
  };
  /** Organisations, teams, projects and principals. */
  tree_nodes: {
    tenant: string;
    kind: string;
    id: string;
    parent: string | null;
    principal_kind: string | null;
    name: string;
    metadata: string;
    revision: number;
    created_at_ms: number;
    expires_at_ms: number | null;
    disabled_at_ms: number | null;
  };
  /** One row: the version of everything above. */
  identity_version: { version: number };
  /** What each version changed, the last ones of it. */
  identity_changes: {
    version: number;
    tenant: string;
    kind: string;
    id: string;
    at_ms: number;
  };
  /** Public keys of the gateways, by which they verify one another's envelopes. */
  envelope_keys: {
    key_id: string;
    issuer: string;
    public_jwk: string;
    created_at_ms: number;
    /** Since when no envelope that it signed is accepted. Checkpoints that it signed before stay good. */
    retired_at_ms: number | null;
  };
}

export const identityMigrations: MigrationSet = {
  name: 'identity',
  migrations: [
    {
      name: '0001-keys',
      statements: ({ text, integer, tableOptions }) => [
        `create table virtual_keys (
          id ${text} primary key,
          digest ${text} not null unique,
          name ${text} not null,
          prefix ${text} not null,
          tenant ${text} not null,
          principal ${text} not null,
          is_admin ${integer} not null,
          scopes ${text} not null,
          created_at_ms ${integer} not null,
          expires_at_ms ${integer},
          disabled_at_ms ${integer}
        ) ${tableOptions}`,
        `create table envelope_keys (
          key_id ${text} primary key,
          issuer ${text} not null,
          public_jwk ${text} not null,
          created_at_ms ${integer} not null
        ) ${tableOptions}`,
      ],
    },
    {
      name: '0002-key-rotation',
      statements: ({ text, timeMs }) => [
        `alter table virtual_keys add column previous_digest ${text}`,
        `alter table virtual_keys add column previous_until_ms ${timeMs}`,
        'create unique index virtual_keys_by_previous on virtual_keys (previous_digest)',
      ],
    },
    {
      name: '0003-tree',
      statements: types => [
        ...createTree(types),
        ...plantTree,
        `alter table virtual_keys add column roles ${types.text} not null default '[]'`,
        `alter table virtual_keys add column tags ${types.text} not null default '[]'`,
        `alter table virtual_keys add column metadata ${types.text} not null default '{}'`,
        `alter table virtual_keys add column revision ${types.integer} not null default 1`,
        `update virtual_keys set roles = '["owner"]' where is_admin = 1`,
        'create index virtual_keys_by_principal on virtual_keys (tenant, principal)',
      ],
    },
    {
      name: '0004-retired-signing-keys',
      statements: ({ timeMs }) => [`alter table envelope_keys add column retired_at_ms ${timeMs}`],
    },
  ],
};

function createTree({ text, integer, timeMs, tableOptions }: ColumnTypes): string[] {
  return [
    `create table tree_nodes (
      tenant ${text} not null,
      kind ${text} not null,
      id ${text} not null,
      parent ${text},
      principal_kind ${text},
      name ${text} not null,
      metadata ${text} not null,
      revision ${integer} not null,
      created_at_ms ${timeMs} not null,
      expires_at_ms ${timeMs},
      disabled_at_ms ${timeMs},
      primary key (tenant, kind, id)
    ) ${tableOptions}`,
    'create index tree_nodes_by_parent on tree_nodes (tenant, kind, parent)',
    `create table identity_version (version ${integer} not null) ${tableOptions}`,
    'insert into identity_version (version) values (0)',
    `create table identity_changes (
      version ${integer} primary key,
      tenant ${text} not null,
      kind ${text} not null,
      id ${text} not null,
      at_ms ${timeMs} not null
    ) ${tableOptions}`,
  ];
}

const nodeColumns = 'tenant, kind, id, parent, principal_kind, name, metadata, revision, created_at_ms';

/** The principals that keys were made for before there was a tree, under the default team and project of their organisation. */
const plantTree = [
  `insert into tree_nodes (${nodeColumns})
    select tenant, 'organisation', tenant, null, null, tenant, '{}', 1, min(created_at_ms) from virtual_keys group by tenant`,
  `insert into tree_nodes (${nodeColumns})
    select tenant, 'team', 'default', tenant, null, 'default', '{}', 1, min(created_at_ms) from virtual_keys group by tenant`,
  `insert into tree_nodes (${nodeColumns})
    select tenant, 'project', 'default', 'default', null, 'default', '{}', 1, min(created_at_ms) from virtual_keys group by tenant`,
  `insert into tree_nodes (${nodeColumns})
    select tenant, 'principal', principal, 'default', 'user', principal, '{}', 1, min(created_at_ms) from virtual_keys group by tenant, principal`,
];
