import type { MigrationSet } from '../stores/migrations.ts';

export interface LimitTables {
  /** Limits that the admin API has set. */
  rate_limits: {
    id: string;
    tenant: string;
    /** Unique in the organisation: it stands in headers and errors. */
    name: string;
    subject_kind: string;
    subject_id: string;
    is_each: number;
    unit: string;
    amount: number;
    window_ms: number;
    version: number;
  };
}

export const limitMigrations: MigrationSet = {
  name: 'limits',
  migrations: [
    {
      name: '0001-rate-limits',
      statements: ({ text, integer, tableOptions }) => [
        `create table rate_limits (
          id ${text} primary key,
          tenant ${text} not null,
          name ${text} not null,
          subject_kind ${text} not null,
          subject_id ${text} not null,
          is_each ${integer} not null,
          unit ${text} not null,
          amount ${integer} not null check (amount > 0),
          window_ms ${integer} not null check (window_ms > 0),
          version ${integer} not null,
          unique (tenant, name)
        ) ${tableOptions}`,
      ],
    },
  ],
};
