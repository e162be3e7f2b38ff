import type { MigrationSet } from '@strata/shared/stores/migrations.ts';

export interface ItemSchema {
  store_items: {
    tenant: string;
    namespace: string;
    item_key: string;
    revision: number;
    /** JSON. */
    value: string;
    /** Of `value`. */
    bytes: number;
    expires_at_ms: number | null;
    created_at_ms: number;
    updated_at_ms: number;
    principal: string;
  };
}

export const itemMigrations: MigrationSet = {
  name: 'store-items',
  migrations: [
    {
      name: '0001-store-items',
      statements: ({ text, integer, timeMs, json, tableOptions }) => [
        `create table store_items (
          tenant ${text} not null,
          namespace ${text} not null,
          item_key ${text} not null,
          revision ${integer} not null,
          value ${json} not null,
          bytes ${integer} not null,
          expires_at_ms ${timeMs},
          created_at_ms ${timeMs} not null,
          updated_at_ms ${timeMs} not null,
          principal ${text} not null,
          primary key (tenant, namespace, item_key)
        ) ${tableOptions}`,
        // What a tenant has is summed in the index alone.
        'create index store_items_size on store_items (tenant, bytes)',
        'create index store_items_expiring on store_items (expires_at_ms) where expires_at_ms is not null',
      ],
    },
  ],
};
