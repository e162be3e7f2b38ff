import { sql } from 'kysely';
import type { SqlStore } from '../stores/sql.ts';
import type { MoneySchema } from './money-schema.ts';

/** By what usage can be grouped, and the expression that gives the group. Days are UTC. */
const groups = {
  tenant: 'tenant',
  principal: 'principal',
  key: 'key_id',
  run: 'run_id',
  gateway: 'gateway',
  alias: 'alias',
  provider: 'provider',
  model: 'model',
  day: 'at_ms / 86400000',
} as const;

export type UsageGroup = keyof typeof groups;
export const usageGroups = Object.keys(groups) as UsageGroup[]; // the keys of the object above

export interface UsageTotal {
  /** Undefined: entries that belong to no run, or no key. Days as `YYYY-MM-DD`. */
  readonly group: string | undefined;
  readonly attempts: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of the entries that have a cost. */
  readonly costNanoUsd: bigint;
  /** Entries whose cost is not known. They are not in the sum ($-2). */
  readonly withoutCost: number;
}

/** What was used from one moment up to, not including, another; dearest group first, days in order. */
export async function reportUsage(
  store: SqlStore<MoneySchema>,
  query: {
    readonly by: UsageGroup;
    readonly fromMs: number;
    readonly toMs: number;
    readonly tenant?: string | undefined;
  },
): Promise<UsageTotal[]> {
  const { by, fromMs, toMs, tenant } = query;
  const rows = await store.db
    .selectFrom('usage_ledger')
    .select([
      sql<string | number | null>`${sql.raw(groups[by])}`.as('group'),
      sql<number>`count(*)`.as('attempts'),
      sql<number>`coalesce(sum(input + cache_read + cache_write + cache_write_1h), 0)`.as('input'),
      sql<number>`coalesce(sum(output + reasoning), 0)`.as('output'),
      sql<number | bigint>`coalesce(sum(cost_nano_usd), 0)`.as('cost'),
      sql<number>`count(*) - count(cost_nano_usd)`.as('without_cost'),
    ])
    .where('at_ms', '>=', fromMs)
    .where('at_ms', '<', toMs)
    .$if(tenant !== undefined, each => each.where('tenant', '=', tenant ?? ''))
    .groupBy(sql.raw(groups[by]))
    .orderBy(sql.raw(by === 'day' ? groups.day : 'coalesce(sum(cost_nano_usd), 0) desc'))
    .execute();
  return rows.map(row => ({
    group: row.group === null ? undefined : by === 'day' ? isoDay(Number(row.group)) : String(row.group),
    attempts: Number(row.attempts),
    inputTokens: Number(row.input),
    outputTokens: Number(row.output),
    costNanoUsd: BigInt(row.cost),
    withoutCost: Number(row.without_cost),
  }));
}

function isoDay(day: number): string {
  return new Date(day * 86_400_000).toISOString().slice(0, 10);
}
