import { type RawBuilder, sql } from 'kysely';
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
  /** One for each that was asked for, in that order. Undefined: entries that belong to no run, no key and so on. Days as `YYYY-MM-DD`. */
  readonly groups: readonly (string | undefined)[];
  readonly attempts: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of sound and pictures, in and out. */
  readonly mediaTokens: number;
  /** Uses of tools that are charged by the use. */
  readonly toolUnits: number;
  /** Of the entries that have a cost. */
  readonly costNanoUsd: bigint;
  /** Entries whose cost is not known. They are not in the sum ($-2). */
  readonly withoutCost: number;
}

export interface UsageQuery {
  /** Any of them together, each once. */
  readonly by: readonly UsageGroup[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly tenant?: string | undefined;
  /** Only entries whose names fit; `*` stands for any characters. */
  readonly where?: Readonly<Partial<Record<UsageFilter, string>>>;
  /** How many groups at most: the first ones. */
  readonly limit?: number;
}

/**
 * What was used from one moment up to, not including, another: by day where days are asked for, then the dearest first. Whole days (UTC) are
 * read from the sums of each day, what differs at the edges from the entries. Runs and tags together have no sums: they are read from the entries,
 * a day at a time. An entry with several tags is in the group of each of them.
 */
export async function reportUsage(store: SqlStore<MoneySchema>, query: UsageQuery): Promise<UsageTotal[]> {
  const kind = kindOf(query);
  if (kind === 'run and tag') return reportEachDay(store, query);
  const parts = partsOf(query.fromMs, query.toMs).map(part =>
    part.type === 'days'
      ? fromRollups(store.dialect, query, kind, part)
      : fromEntries(store.dialect, query, part, kind === 'tag'),
  );
  return (await sumUp(store, query, parts, query.limit)).map(row => toTotal(row, query.by));
}

async function sumUp(
  store: SqlStore<MoneySchema>,
  { by }: UsageQuery,
  parts: readonly RawBuilder<unknown>[],
  limit: number | undefined,
): Promise<readonly ReportRow[]> {
  const [first, ...rest] = parts;
  if (first === undefined) return [];
  const union = rest.reduce((all, part) => sql`${all} union all ${part}`, first);
  const names = by.map((_, index) => sql.ref(groupName(index)));
  const days = by.flatMap((group, index) => (group === 'day' ? [sql.ref(groupName(index))] : []));
  const order = [...days, sql`coalesce(sum(cost_nano_usd), 0) desc`, ...names];
  const { rows } = await sql<ReportRow>`
    select ${sql.join(names)}, sum(requests) as requests, sum(input) as input, sum(output) as output, sum(media) as media,
      sum(tool_units) as tool_units, sum(cost_nano_usd) as cost, sum(without_cost) as without_cost
    from (${union}) as parts group by ${sql.join(names)} having sum(requests) > 0
    order by ${sql.join(order)} ${limit === undefined ? sql`` : sql`limit ${limit}`}`.execute(store.db);
  return rows;
}

/** One question a day, so that whoever else uses the store comes in between. */
async function reportEachDay(store: SqlStore<MoneySchema>, query: UsageQuery): Promise<UsageTotal[]> {
  const totals = new Map<string, UsageTotal>();
  for (let from = query.fromMs; from < query.toMs; ) {
    const to = Math.min(query.toMs, (Math.floor(from / dayMs) + 1) * dayMs);
    const part = fromEntries(store.dialect, query, { type: 'entries', from, to }, true);
    for (const row of await sumUp(store, query, [part], undefined)) {
      const total = toTotal(row, query.by);
      const key = JSON.stringify(total.groups.map(group => group ?? null));
      const known = totals.get(key);
      totals.set(key, known === undefined ? total : added(known, total));
    }
    from = to;
  }
  return [...totals.values()].sort(inOrderOf(query.by)).slice(0, query.limit);
}

function added(left: UsageTotal, right: UsageTotal): UsageTotal {
  return {
    groups: left.groups,
    attempts: left.attempts + right.attempts,
    inputTokens: left.inputTokens + right.inputTokens,
    outputTokens: left.outputTokens + right.outputTokens,
    mediaTokens: left.mediaTokens + right.mediaTokens,
    toolUnits: left.toolUnits + right.toolUnits,
    costNanoUsd: left.costNanoUsd + right.costNanoUsd,
    withoutCost: left.withoutCost + right.withoutCost,
  };
}

/** As the database orders them. */
function inOrderOf(by: readonly UsageGroup[]): (left: UsageTotal, right: UsageTotal) => number {
  const day = by.indexOf('day');
  const compare = (left: string, right: string) => (left < right ? -1 : left > right ? 1 : 0);
  return (left, right) =>
    compare(left.groups[day] ?? '', right.groups[day] ?? '') ||
    Number(right.costNanoUsd > left.costNanoUsd) - Number(right.costNanoUsd < left.costNanoUsd) ||
    compare(JSON.stringify(left.groups), JSON.stringify(right.groups));
}

/** RFC 4180, one line a group under a line of names. */
export function usageCsv(by: readonly UsageGroup[], totals: readonly UsageTotal[]): string {
  const lines = totals.map(total =>
    [
      ...total.groups.map((group = '') => csvField(group)),
      total.attempts,
      total.inputTokens,
      total.outputTokens,
      total.mediaTokens,
      total.toolUnits,
      usdText(total.costNanoUsd),
      total.withoutCost,
    ].join(','),
  );
  const names = [...by, ...csvColumns].join(',');
  return `${[names, ...lines].join('\n')}\n`;
}

const csvColumns = [
  'attempts',
  'input_tokens',
  'output_tokens',
  'media_tokens',
  'tool_units',
  'cost_usd',
  'attempts_without_cost',
];

/** A leading `=`, `+`, `-` or `@` would be run as a formula by spreadsheets, so it is made text. */
function csvField(text: string): string {
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A column of the report for each of the groups that are asked for: `group0` and so on. */
interface ReportRow extends Readonly<Record<string, string | number | bigint>> {
  readonly requests: number;
  readonly input: number;
  readonly output: number;
  readonly media: number;
  readonly tool_units: number;
  readonly cost: number | bigint;
  readonly without_cost: number;
}

function groupName(index: number): string {
  return `group${index}`;
}

function toTotal(row: ReportRow, by: readonly UsageGroup[]): UsageTotal {
  return {
    groups: by.map((group, index) => {
      const value = row[groupName(index)];
      const text = group === 'day' ? isoDay(Number(value)) : String(value);
      return text === '' ? undefined : text;
    }),
    attempts: Number(row.requests),
    inputTokens: Number(row.input),
    outputTokens: Number(row.output),
    mediaTokens: Number(row.media),
    toolUnits: Number(row.tool_units),
    costNanoUsd: BigInt(row.cost),
    withoutCost: Number(row.without_cost),
  };
}

type Kind = 'all' | 'run' | 'tag';

/** Runs are many and tags several for one entry: each has sums of its own, both together have none. */
function kindOf({ by, where = {} }: UsageQuery): Kind | 'run and tag' {
  const asked = new Set<UsageGroup>([...by, ...(Object.keys(where) as UsageFilter[])]); // the keys of the filter
  if (asked.has('run') && asked.has('tag')) return 'run and tag';
  return asked.has('tag') ? 'tag' : asked.has('run') ? 'run' : 'all';
}

/** `days`: whole days, of the sums. `entries` are added to them, `less` taken from them. */
type Part = { readonly type: 'days' | 'entries' | 'less'; readonly from: number; readonly to: number };

/**
 * Whole days, up to the midnight that is nearest to either edge: what is missing there is added, what is too much taken off. So no more
 * than half a day of entries is read at each edge, and a month of Berlin reads two hours of them.
 */
function partsOf(fromMs: number, toMs: number): Part[] {
  const firstDay = Math.round(fromMs / dayMs);
  const endDay = Math.round(toMs / dayMs);
  if (firstDay >= endDay || toMs - fromMs < dayMs / 2)
    return fromMs < toMs ? [{ type: 'entries', from: fromMs, to: toMs }] : [];
  return [
    { type: 'days', from: firstDay, to: endDay },
    ...difference(fromMs, firstDay * dayMs),
    ...difference(endDay * dayMs, toMs),
  ];
}

/** What lies between two moments: to be added when they are in order, to be taken off when they are not. */
function difference(fromMs: number, toMs: number): Part[] {
  if (fromMs === toMs) return [];
  return fromMs < toMs
    ? [{ type: 'entries', from: fromMs, to: toMs }]
    : [{ type: 'less', from: toMs, to: fromMs }];
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
    select ${grouped(query.by, column)}, requests, input + cache_read + cache_write + cache_write_1h as input,
      output + reasoning as output, audio + image as media, tool_units, cost_nano_usd, without_cost
    from usage_rollups where kind = ${kind} and day >= ${from} and day < ${to} ${conditions(dialect, query, column)}`;
}

function fromEntries(
  dialect: SqlDialect,
  query: UsageQuery,
  { type, from, to }: Part,
  hasTags: boolean,
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
  const sign = sql.lit(type === 'less' ? -1 : 1);
  return sql`
    select ${grouped(query.by, column)}, ${sign} as requests,
      ${sign} * coalesce(input + cache_read + cache_write + cache_write_1h, 0) as input,
      ${sign} * coalesce(output + reasoning, 0) as output,
      ${sign} * (coalesce(audio, 0) + coalesce(image, 0)) as media, ${sign} * coalesce(tool_units, 0) as tool_units,
      ${sign} * coalesce(cost_nano_usd, 0) as cost_nano_usd,
      case when cost_nano_usd is null then ${sign} else 0 end as without_cost
    from usage_ledger ${hasTags ? tags : sql``}
    where at_ms >= ${from} and at_ms < ${to} ${conditions(dialect, query, column)}`;
}

function grouped(
  by: readonly UsageGroup[],
  column: (group: UsageGroup) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  return sql.join(by.map((group, index) => sql`${column(group)} as ${sql.ref(groupName(index))}`));
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
