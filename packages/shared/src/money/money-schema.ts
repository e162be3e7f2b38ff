import type { MigrationSet } from '../stores/migrations.ts';
import { type BudgetTables, budgetMigration } from './budget-schema.ts';
import { type PriceTables, priceMigration } from './price-schema.ts';
import {
  type RollupTables,
  rollupMigration,
  rollupsByKindMigration,
  rollupsBySpanMigration,
} from './rollup-schema.ts';

/** Rows as they are stored. Money is nano-USD, times are milliseconds since the epoch. */
export interface MoneySchema extends BudgetTables, RollupTables, PriceTables {
  usage_ledger: {
    /** Of the attempt: writing an entry twice stores it once. */
    id: string;
    at_ms: number;
    duration_ms: number;
    gateway: string;
    tenant: string;
    team: string | null;
    project: string | null;
    principal: string;
    key_id: string | null;
    run_id: string | null;
    task_id: string | null;
    agent: string | null;
    /** JSON list. */
    tags: string | null;
    alias: string;
    provider: string;
    model: string;
    tool: string | null;
    service_tier: string | null;
    outcome: string;
    /** `missing`: the counts are null. */
    usage_source: string;
    input: number | null;
    cache_read: number | null;
    cache_write: number | null;
    cache_write_1h: number | null;
    output: number | null;
    reasoning: number | null;
    audio: number | null;
    image: number | null;
    tool_units: number | null;
    audio_seconds: number | null;
    /** Null when the usage or a price is not known: never 0 for that ($-2). */
    cost_nano_usd: number | bigint | null;
    price_version: string | null;
  };
}

export const moneyMigrations: MigrationSet = {
  name: 'money',
  migrations: [
    {
      name: '0001-usage-ledger',
      statements: ({ text, integer, timeMs, tableOptions }) => [
        `create table usage_ledger (
          id ${text} primary key,
          at_ms ${timeMs} not null,
          duration_ms ${integer} not null,
          gateway ${text} not null,
          tenant ${text} not null,
          principal ${text} not null,
          key_id ${text},
          run_id ${text},
          task_id ${text},
          alias ${text} not null,
          provider ${text} not null,
          model ${text} not null,
          outcome ${text} not null,
          usage_source ${text} not null,
          input ${integer},
          cache_read ${integer},
          cache_write ${integer},
          cache_write_1h ${integer},
          output ${integer},
          reasoning ${integer},
          cost_nano_usd ${integer},
          price_version ${text}
        ) ${tableOptions}`,
        'create index usage_ledger_by_tenant on usage_ledger (tenant, at_ms)',
        'create index usage_ledger_by_time on usage_ledger (at_ms)',
      ],
    },
    budgetMigration,
    rollupMigration,
    priceMigration,
    {
      name: '0005-audio-seconds',
      statements: ({ integer }) => [`alter table usage_ledger add column audio_seconds ${integer}`],
    },
    { name: '0006-ledger-append-only', statements: ({ appendOnly }) => appendOnly('usage_ledger') },
    rollupsByKindMigration,
    rollupsBySpanMigration,
  ],
};
