import type { Migration } from '../stores/migrations.ts';

/**
 * What a sum is of. Of a day by all names: `all`, `run`, each entry once, and `tag`, once for each of its tags. By all names but principal and key, which
 * are many: of a `day` and an `hour`, and `tag-day` and `tag-hour` once for each tag. Of a `month` and a `quarter` of a day by all names. `run-hour`: by team,
 * project and run.
 */
export type RollupKind =
  | 'all'
  | 'run'
  | 'tag'
  | 'day'
  | 'hour'
  | 'tag-day'
  | 'tag-hour'
  | 'month'
  | 'quarter'
  | 'run-hour';

/** Rows as they are stored. Absent names are ''. */
export interface RollupTables {
  usage_rollups: {
    /** Digest of all that follows up to `extra`. */
    id: string;
    /** When it begins, UTC: hours or quarters of days since the epoch of kinds that are of these, else days. */
    day: number;
    kind: RollupKind;
    tenant: string;
    team: string;
    project: string;
    principal: string;
    key_id: string;
    gateway: string;
    alias: string;
    provider: string;
    model: string;
    tool: string;
    agent: string;
    /** The run or the tag, of kinds that tell them apart. */
    extra: string;
    requests: number;
    input: number;
    cache_read: number;
    cache_write: number;
    cache_write_1h: number;
    audio: number;
    image: number;
    output: number;
    reasoning: number;
    tool_units: number;
    cost_nano_usd: number | bigint;
    without_cost: number;
  };
}

const names = [
  'team',
  'project',
  'principal',
  'key_id',
  'gateway',
  'alias',
  'provider',
  'model',
  'tool',
  'agent',
  'extra',
];
const sums = [
  ...[
    'requests',
    'input',
    'cache_read',
    'cache_write',
    'cache_write_1h',
    'audio',
    'image',
    'output',
    'reasoning',
  ],
  ...['tool_units', 'cost_nano_usd', 'without_cost'],
];

export const rollupMigration: Migration = {
  name: '0003-usage-rollups',
  statements: ({ text, integer, tableOptions }) => [
    ...['team', 'project', 'tool', 'agent', 'tags', 'service_tier'].map(
      name => `alter table usage_ledger add column ${name} ${text}`,
    ),
    ...['audio', 'image', 'tool_units'].map(name => `alter table usage_ledger add column ${name} ${integer}`),
    `create table usage_rollups (
      id ${text} primary key,
      day ${integer} not null,
      kind ${text} not null,
      tenant ${text} not null,
      ${names.map(name => `${name} ${text} not null,`).join('\n      ')}
      ${sums.map(name => `${name} ${integer} not null`).join(',\n      ')}
    ) ${tableOptions}`,
    'create index usage_rollups_by_day on usage_rollups (tenant, kind, day)',
    'create index usage_rollups_by_team on usage_rollups (tenant, team, kind, day)',
  ],
};

/** For questions about all organisations. */
export const rollupsByKindMigration: Migration = {
  name: '0007-usage-rollups-by-kind',
  statements: () => ['create index usage_rollups_by_kind on usage_rollups (kind, day)'],
};

/** Names of whom something was done for, and of what was done: kinds of few sums leave them out. */
export const personNames = ['principal', 'key_id'] as const;
export const callNames = [...personNames, 'gateway', 'alias', 'provider', 'model', 'tool', 'agent'] as const;

/** Of what is there: its days and months from the sums of days, what is shorter from the entries. An id of its own for each, since such rows add up. */
export const rollupsBySpanMigration: Migration = {
  name: '0008-usage-rollups-by-span',
  statements: ({ monthOfDay, jsonElements }) => [
    fill('day', { from: daySums('all'), start: 'day', without: personNames }),
    fill('tag-day', { from: daySums('tag'), start: 'day', without: personNames }),
    fill('month', { from: daySums('all'), start: monthOfDay('day'), without: [] }),
    fill('quarter', { from: entrySums('', "''"), start: 'hour / 6', without: [] }),
    fill('hour', { from: entrySums('', "''"), start: 'hour', without: personNames }),
    fill('run-hour', { from: entrySums('', "coalesce(run_id, '')"), start: 'hour', without: callNames }),
    fill('tag-hour', {
      from: entrySums(`cross join ${jsonElements('coalesce(tags, \'[""]\')', 'tag')}`, 'tag.value'),
      start: 'hour',
      without: personNames,
    }),
  ],
};

function fill(
  kind: RollupKind,
  {
    from,
    start,
    without,
  }: { readonly from: string; readonly start: string; readonly without: readonly string[] },
): string {
  const kept = names.map(name => (without.includes(name) ? `'' as ${name}` : name));
  const added = sums.map(name => `sum(${name}) as ${name}`);
  return `insert into usage_rollups (id, kind, day, tenant, ${names.join(', ')}, ${sums.join(', ')})
    select '${kind} ' || row_number() over (), '${kind}', start, tenant, ${names.join(', ')}, ${sums.join(', ')} from (
      select ${start} as start, tenant, ${kept.join(', ')}, ${added.join(', ')} from (${from}) as each
      group by 1, 2, ${names.map((_, index) => index + 3).join(', ')}) as filled`;
}

const daySums = (kind: RollupKind) => `select * from usage_rollups where kind = '${kind}'`;

function entrySums(tags: string, extra: string): string {
  const optional = ['team', 'project', 'key_id', 'tool', 'agent'].map(
    name => `coalesce(${name}, '') as ${name}`,
  );
  const counted = sums
    .filter(name => !['requests', 'without_cost'].includes(name))
    .map(name => `coalesce(${name}, 0) as ${name}`);
  return `select at_ms / 3600000 as hour, tenant, ${optional.join(', ')}, principal, gateway, alias, provider, model,
      ${extra} as extra, 1 as requests, ${counted.join(', ')}, case when cost_nano_usd is null then 1 else 0 end as without_cost
    from usage_ledger ${tags}`;
}
