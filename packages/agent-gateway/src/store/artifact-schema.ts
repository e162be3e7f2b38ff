import type { MigrationSet } from '@strata/shared/stores/migrations.ts';

export interface ArtifactSchema {
  artifacts: {
    tenant: string;
    hash: string;
    media_type: string;
    bytes: number;
    body: Uint8Array;
    created_at_ms: number;
    principal: string;
  };
}

export const artifactMigrations: MigrationSet = {
  name: 'artifacts',
  migrations: [
    {
      name: '0001-artifacts',
      statements: ({ text, integer, timeMs, bytes, tableOptions }) => [
        `create table artifacts (
          tenant ${text} not null,
          hash ${text} not null,
          media_type ${text} not null,
          bytes ${integer} not null,
          body ${bytes} not null,
          created_at_ms ${timeMs} not null,
          principal ${text} not null,
          primary key (tenant, hash)
        ) ${tableOptions}`,
        // What a tenant has is summed in the index alone.
        'create index artifacts_size on artifacts (tenant, bytes)',
      ],
    },
  ],
};
