import { type RawBuilder, sql } from 'kysely';
import { GatewayError } from '../errors/gateway-error.ts';
import type { SqlDialect, SqlStore } from '../stores/sql.ts';
import type { MoneySchema } from './money-schema.ts';
import { usdText } from './nano-usd.ts';
import { dayMs } from './usage-rollups.ts';

/** By what usage can be grouped and filtered, and the column that says it. Days are UTC. */
const columns = {
  tenant: 'tenant',
  team: 'team',
  project: 'project',
  principal: 'principal',
  key: 'key_id',
  gateway: 'gateway',
  alias: 'alias',
  provider: 'provider',
  model: 'model',
  tool: 'tool',
  agent: 'agent',
  run: 'run',
  tag: 'tag',
  day: 'day',
} as const;

export type UsageGroup = keyof typeof columns;
export const usageGroups = Object.keys(columns) as UsageGroup[]; // the keys of the object above

export type UsageFilter = Exclude<UsageGroup, 'day'>;

export interface UsageTotal {
  /** Undefined: entries that belong to no run, no key and so on. Days as `YYYY-MM-DD`. */
  readonly group: string | undefined;
  readonly attempts: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Uses of tools that are charged by the use. */
  readonly toolUnits: number;
  /** Of the entries that have a cost. */
  readonly costNanoUsd: bigint;
  /** Entries whose cost is not known. They are not in the sum ($-2). */
  readonly withoutCost: number;
}

export interface UsageQuery {
  readonly by: UsageGroup;
  readonly fromMs: number;
  readonly toMs: number;
  readonly tenant?: string | undefined;
  /** Only entries whose names fit; `*` stands for any characters. Of runs and tags at most one of both, with `by` counted. */
  readonly where?: Readonly<Partial<Record<UsageFilter, string>>>;
}

/**
 * What was used from one moment up to, not including, another; dearest group first, days in order. Whole days (UTC) are read from the sums
 * of each day, the rest of the time from the entries. An entry with
 * several tags is in the group of each of them.
 *
 * @throws GatewayError invalid_request (`usage_query_invalid`) when runs and tags are asked for together.
 */
export async function reportUsage(store: SqlStore<MoneySchema>, query: UsageQuery): Promise<UsageTotal[]> {
  const kind = kindOf(query);
  const parts = partsOf(query.fromMs, query.toMs).map(part =>
    part.type === 'days'
      ? fromRollups(store.dialect, query, kind, part)
      : fromEntries(store.dialect, query, kind, part),
  );
  const [first, ...rest] = parts;
  if (first === undefined) return [];
  const union = rest.reduce((all, part) => sql`${all} union all ${part}`, first);
  const order = query.by === 'day' ? sql`"group"` : sql`coalesce(sum(cost_nano_usd), 0) desc, "group"`;
  const { rows } = await sql<ReportRow>`
    select "group", sum(requests) as requests, sum(input) as input, sum(output) as output,
      sum(tool_units) as tool_units, sum(cost_nano_usd) as cost, sum(without_cost) as without_cost
    from (${union}) as parts group by "group" having sum(requests) > 0 order by ${order}`.execute(store.db);
  return rows.map(row => toTotal(row, query.by));
}

/** RFC 4180, one line a group under a line of names. */
export function usageCsv(by: UsageGroup, totals: readonly UsageTotal[]): string {
  const lines = totals.map(
    ({ group = '', attempts, inputTokens, outputTokens, toolUnits, costNanoUsd, withoutCost }) =>
      [
        csvField(group),
        attempts,
        inputTokens,
        outputTokens,
        toolUnits,
        usdText(costNanoUsd),
        withoutCost,
      ].join(','),
  );
  return `${[`${by},attempts,input_tokens,output_tokens,tool_units,cost_usd,attempts_without_cost`, ...lines].join('\n')}\n`;
}

/** A leading `=`, `+`, `-` or `@` would be run as a formula by spreadsheets, so it is made text. */
function csvField(text: string): string {
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

interface ReportRow {
  readonly group: string | number;
  readonly requests: number;
  readonly input: number;
  readonly output: number;
  readonly tool_units: number;
  readonly cost: number | bigint;
  readonly without_cost: number;
}

function toTotal(row: ReportRow, by: UsageGroup): UsageTotal {
  const group = by === 'day' ? isoDay(Number(row.group)) : String(row.group);
  return {
    group: group === '' ? undefined : group,
    attempts: Number(row.requests),
    inputTokens: Number(row.input),
    outputTokens: Number(row.output),
    toolUnits: Number(row.tool_units),
    costNanoUsd: BigInt(row.cost),
    withoutCost: Number(row.without_cost),
  };
}

type Kind = 'all' | 'run' | 'tag';

/** Runs are many and tags several for one entry: each has sums of its own. */
function kindOf({ by, where = {} }: UsageQuery): Kind {
  const asked = new Set<UsageGroup>([by, ...(Object.keys(where) as UsageFilter[])]); // the keys of the filter
  if (asked.has('run') && asked.has('tag')) {
    throw new GatewayError('invalid_request', 'Runs and tags cannot be asked for together.', {
      reason: 'usage_query_invalid',
    });
  }
  return asked.has('tag') ? 'tag' : asked.has('run') ? 'run' : 'all';
}

type Part = { readonly type: 'days' | 'entries'; readonly from: number; readonly to: number };

/** Whole days in the middle, what is before and after them at the edges. */
function partsOf(fromMs: number, toMs: number): Part[] {
  const firstDay = Math.ceil(fromMs / dayMs);
  const endDay = Math.floor(toMs / dayMs);
  const entries = (from: number, to: number): Part[] => (from < to ? [{ type: 'entries', from, to }] : []);
  if (firstDay >= endDay) return entries(fromMs, toMs);
  return [
    { type: 'days', from: firstDay, to: endDay },
    ...entries(fromMs, firstDay * dayMs),
    ...entries(endDay * dayMs, toMs),
  ];
}

function fromRollups(
  dialect: SqlDialect,
  query: UsageQuery,
  kind: Kind,
  { from, to }: Part,
): RawBuilder<unknown> {
  const column = (group: UsageGroup) =>
    sql.ref(group === 'run' || group === 'tag' ? 'extra' : columns[group]);
  return sql`
    select ${column(query.by)} as "group", requests, input + cache_read + cache_write + cache_write_1h as input,
      output + reasoning as output, tool_units, cost_nano_usd, without_cost
    from usage_rollups where kind = ${kind} and day >= ${from} and day < ${to} ${conditions(dialect, query, column)}`;
}

function fromEntries(
  dialect: SqlDialect,
  query: UsageQuery,
  kind: Kind,
  { from, to }: Part,
): RawBuilder<unknown> {
  const column = (group: UsageGroup): RawBuilder<unknown> => {
    if (group === 'day') return sql`at_ms / ${sql.lit(dayMs)}`;
    if (group === 'tag') return sql`tag.value`;
    return sql`coalesce(${sql.ref(group === 'run' ? 'run_id' : columns[group])}, '')`;
  };
  const tags =
    dialect === 'sqlite'
      ? sql`, json_each(coalesce(tags, '[""]')) as tag`
      : sql`, json_array_elements_text(coalesce(tags, '[""]')::json) as tag (value)`;
  return sql`
    select ${column(query.by)} as "group", 1 as requests,
      coalesce(input + cache_read + cache_write + cache_write_1h, 0) as input, coalesce(output + reasoning, 0) as output,
      coalesce(tool_units, 0) as tool_units, coalesce(cost_nano_usd, 0) as cost_nano_usd,
      case when cost_nano_usd is null then 1 else 0 end as without_cost
    from usage_ledger ${kind === 'tag' ? tags : sql``}
    where at_ms >= ${from} and at_ms < ${to} ${conditions(dialect, query, column)}`;
}

/** The organisation is never a pattern. */
function conditions(
  dialect: SqlDialect,
  { tenant, where = {} }: UsageQuery,
  column: (group: UsageGroup) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  const wanted = Object.entries({ ...where, ...(tenant !== undefined && { tenant }) }) as [
    UsageFilter,
    string,
  ][]; // as the types of both say
  const each = wanted.map(([name, value]) =>
    name === 'tenant' || !value.includes('*')
      ? sql`and ${column(name)} = ${value}`
      : sql`and ${column(name)} ${matches(dialect, value)}`,
  );
  return each.length === 0 ? sql`` : sql.join(each, sql` `);
}

/** SQLite's `like` takes capitals for small letters; its `glob` does not. */
function matches(dialect: SqlDialect, pattern: string): RawBuilder<unknown> {
  return dialect === 'sqlite'
    ? sql`glob ${pattern.replace(/[?[]/g, '[$&]')}`
    : sql`like ${pattern.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%')}`;
}

function isoDay(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
