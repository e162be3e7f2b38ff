import type { Migration } from '../stores/migrations.ts';

/** Rows as they are stored. Absent names are ''. */
export interface RollupTables {
  usage_rollups: {
    /** Digest of all that follows up to `extra`. */
    id: string;
    /** Days since the epoch, UTC. */
    day: number;
    /** `all`, `run`: each entry once. `tag`: once for each of its tags. `extra` names the run or tag; '' is none. */
    kind: string;
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
