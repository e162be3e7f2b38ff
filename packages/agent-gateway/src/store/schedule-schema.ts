import type { MigrationSet } from '@strata/shared/stores/migrations.ts';

export interface ScheduleSchema {
  schedules: {
    tenant: string;
    name: string;
    revision: number;
    is_paused: number;
    next_at_ms: number;
    last_run: string | null;
    created_at_ms: number;
    /** JSON of events that wait for others; null while there are none. */
    collected: string | null;
    /** JSON of workflow, input, recurrence, overlap, catchUp and caller. */
    plan: string;
  };
}

export const scheduleMigrations: MigrationSet = {
  name: 'schedules',
  migrations: [
    {
      name: '0001-schedules',
      statements: ({ text, integer, timeMs, json, tableOptions }) => [
        `create table schedules (
          tenant ${text} not null,
          name ${text} not null,
          revision ${integer} not null,
          is_paused ${integer} not null,
          next_at_ms ${timeMs} not null,
          last_run ${text},
          created_at_ms ${timeMs} not null,
          plan ${json} not null,
          primary key (tenant, name)
        ) ${tableOptions}`,
        'create index schedules_due on schedules (next_at_ms) where is_paused = 0',
      ],
    },
    {
      name: '0002-collected-events',
      statements: ({ json }) => [`alter table schedules add column collected ${json}`],
    },
  ],
};
