import { type RawBuilder, sql } from 'kysely';
import type { SqlDialect, SqlStore } from '../stores/sql.ts';
import type { MoneySchema } from './money-schema.ts';
import { type UsageFilter, type UsageGroup, usageColumns } from './usage-groups.ts';
import { dayMs } from './usage-rollups.ts';
import { grainsFor, partsOfDay, type Span, spansOf } from './usage-spans.ts';

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
 * What was used from one moment up to, not including, another: by day where days are asked for, then the dearest first. What lies between is
 * read from sums (`usage-spans.ts`), what differs at the edges from the entries. Runs and tags together have no sums: they are read from the entries,
 * a day at a time. An entry with several tags is in the group of each of them.
 */
export async function reportUsage(store: SqlStore<MoneySchema>, query: UsageQuery): Promise<UsageTotal[]> {
  const asked = new Set<UsageGroup>([...query.by, ...(Object.keys(query.where ?? {}) as UsageFilter[])]); // the keys of the filter
  if (asked.has('run') && asked.has('tag')) return reportEachDay(store, query);
  const parts = spansOf(query.fromMs, query.toMs, grainsFor(asked)).map(span =>
    span.kind === undefined
      ? fromEntries(store.dialect, query, span, asked.has('tag'))
      : fromRollups(store.dialect, query, span),
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
  const { firstMs, endMs } = await bookedWithin(store, query);
  for (let from = firstMs; from < endMs; ) {
    const to = Math.min(endMs, (Math.floor(from / dayMs) + 1) * dayMs);
    const part = fromEntries(store.dialect, query, { from, to, sign: 1 }, true);
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

/** From the first entry to the last: whoever asks for all of time does not ask about every day since 1970. */
async function bookedWithin({ db }: SqlStore<MoneySchema>, { tenant, fromMs, toMs }: UsageQuery) {
  const { first, last } = await db
    .selectFrom('usage_ledger')
    .select(({ fn }) => [fn.min('at_ms').as('first'), fn.max('at_ms').as('last')])
    .where('at_ms', '>=', fromMs)
    .where('at_ms', '<', toMs)
    .$if(tenant !== undefined, each => each.where('tenant', '=', tenant ?? ''))
    .executeTakeFirstOrThrow();
  return { firstMs: first ?? toMs, endMs: last === null ? toMs : last + 1 };
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

function fromRollups(
  dialect: SqlDialect,
  query: UsageQuery,
  { kind, from, to, sign }: Span,
): RawBuilder<unknown> {
  const column = (group: UsageGroup) => {
    if (group === 'day') return sql`day / ${sql.lit(partsOfDay(kind))}`;
    return sql.ref(group === 'run' || group === 'tag' ? 'extra' : usageColumns[group]);
  };
  const signed = (sum: RawBuilder<unknown>) => sql`${sql.lit(sign)} * (${sum})`;
  return sql`
    select ${grouped(query.by, column)}, ${signed(sql`requests`)} as requests,
      ${signed(sql`input + cache_read + cache_write + cache_write_1h`)} as input,
      ${signed(sql`output + reasoning`)} as output, ${signed(sql`audio + image`)} as media,
      ${signed(sql`tool_units`)} as tool_units, ${signed(sql`cost_nano_usd`)} as cost_nano_usd,
      ${signed(sql`without_cost`)} as without_cost
    from usage_rollups where kind = ${kind} and day >= ${from} and day < ${to} ${conditions(dialect, query, column)}`;
}

function fromEntries(
  dialect: SqlDialect,
  query: UsageQuery,
  { from, to, sign: signum }: Span,
  hasTags: boolean,
): RawBuilder<unknown> {
  const column = (group: UsageGroup): RawBuilder<unknown> => {
    if (group === 'day') return sql`at_ms / ${sql.lit(dayMs)}`;
    if (group === 'tag') return sql`tag.value`;
    return sql`coalesce(${sql.ref(group === 'run' ? 'run_id' : usageColumns[group])}, '')`;
  };
  const tags =
    dialect === 'sqlite'
      ? sql`, json_each(coalesce(tags, '[""]')) as tag`
      : sql`, json_array_elements_text(coalesce(tags, '[""]')::json) as tag (value)`;
  const sign = sql.lit(signum);
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
