import type { Migration } from '../stores/migrations.ts';

/** Rows as they are stored. Money is nano-USD, times and periods are milliseconds since the epoch. */
export interface BudgetTables {
  budgets: {
    id: string;
    tenant: string;
    subject_kind: string;
    subject_id: string;
    limit_nano_usd: number | bigint;
    /** JSON of `BudgetWindow`. */
    time_window: string;
    mode: string;
    version: number;
    /** JSON: the ids of the budgets that the limit is reserved from. */
    parents: string;
    is_closed: number;
    created_at_ms: number;
  };
  budget_spent: {
    budget_id: string;
    period: number;
    nano_usd: number | bigint;
  };
  budget_grants: {
    budget_id: string;
    grant_id: string;
    owner: string;
    period: number;
    remaining: number | bigint;
    state: string;
  };
  /** Processes that hold grants, and until when they are believed to live. */
  budget_owners: {
    owner: string;
    lease_until_ms: number;
  };
  budget_alerts: {
    budget_id: string;
    period: number;
    percent: number;
    at_ms: number;
    spent_nano_usd: number | bigint;
    limit_nano_usd: number | bigint;
  };
  /** Counters of changes, by which processes see that what they keep in memory is old. */
  money_versions: {
    name: string;
    version: number;
  };
}

export const budgetMigration: Migration = {
  name: '0002-budgets',
  statements: ({ text, integer, timeMs, json, tableOptions }) => [
    `create table budgets (
      id ${text} primary key,
      tenant ${text} not null,
      subject_kind ${text} not null,
      subject_id ${text} not null,
      limit_nano_usd ${integer} not null check (limit_nano_usd >= 0),
      time_window ${json} not null,
      mode ${text} not null,
      version ${integer} not null,
      parents ${json} not null,
      is_closed ${integer} not null,
      created_at_ms ${timeMs} not null
    ) ${tableOptions}`,
    `create table budget_spent (
      budget_id ${text} not null references budgets (id) on delete cascade,
      period ${timeMs} not null,
      nano_usd ${integer} not null,
      primary key (budget_id, period)
    ) ${tableOptions}`,
    `create table budget_grants (
      budget_id ${text} not null references budgets (id) on delete cascade,
      grant_id ${text} not null,
      owner ${text} not null,
      period ${timeMs} not null,
      remaining ${integer} not null check (remaining >= 0),
      state ${text} not null,
      primary key (budget_id, grant_id)
    ) ${tableOptions}`,
    'create index budget_grants_by_owner on budget_grants (owner)',
    `create table budget_owners (owner ${text} primary key, lease_until_ms ${timeMs} not null) ${tableOptions}`,
    `create table budget_alerts (
      budget_id ${text} not null,
      period ${timeMs} not null,
      percent ${integer} not null,
      at_ms ${timeMs} not null,
      spent_nano_usd ${integer} not null,
      limit_nano_usd ${integer} not null,
      primary key (budget_id, period, percent, at_ms)
    ) ${tableOptions}`,
    `create table money_versions (name ${text} primary key, version ${integer} not null) ${tableOptions}`,
  ],
};
