import type { MigrationSet } from '../stores/migrations.ts';

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
  };
  /** Public keys of the gateways, by which they verify one another's envelopes. */
  envelope_keys: {
    key_id: string;
    issuer: string;
    public_jwk: string;
    created_at_ms: number;
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
  ],
};
