/** By what usage can be grouped and filtered, and the column that says it. Days are UTC. */
export const usageColumns = {
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

export type UsageGroup = keyof typeof usageColumns;
export const usageGroups = Object.keys(usageColumns) as UsageGroup[]; // the keys of the object above

export type UsageFilter = Exclude<UsageGroup, 'day'>;
