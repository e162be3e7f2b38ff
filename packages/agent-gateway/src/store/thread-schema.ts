import type { MigrationSet } from '@strata/shared/stores/migrations.ts';

export interface ThreadSchema {
  threads: {
    id: string;
    tenant: string;
    namespace: string;
    revision: number;
    /** JSON of metadata, context, runs and what the thread was taken for. */
    body: string;
    run_id: string | null;
    created_at_ms: number;
    updated_at_ms: number;
    principal: string;
  };
}

export const threadMigrations: MigrationSet = {
  name: 'threads',
  migrations: [
    {
      name: '0001-threads',
      statements: ({ text, integer, timeMs, json, tableOptions }) => [
        `create table threads (
          id ${text} primary key,
          tenant ${text} not null,
          namespace ${text} not null,
          revision ${integer} not null,
          body ${json} not null,
          run_id ${text},
          created_at_ms ${timeMs} not null,
          updated_at_ms ${timeMs} not null,
          principal ${text} not null
        ) ${tableOptions}`,
        'create index threads_by_tenant on threads (tenant, id)',
        'create index threads_unsettled on threads (id) where run_id is not null',
      ],
    },
  ],
};
