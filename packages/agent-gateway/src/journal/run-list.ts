import type { RunFilter } from '../domain/journal.ts';

/** Columns that a list of runs can be narrowed by, in the order of their values. */
const columns = {
  status: 'status',
  principal: 'principal',
  namespace: 'namespace',
  name: 'name',
  version: 'version',
  queue: 'queue',
  idempotencyKey: 'idempotency_key',
} as const satisfies Partial<Record<keyof RunFilter, string>>;

export interface RunListStatement {
  /** The same for the same text. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly (string | number)[];
}

/**
 * Names only the columns that are asked for: one text for all, with `$1 is null or`, would be planned without knowing what narrows it.
 * `place` gives the placeholder of a value by its position from 1.
 */
export function runListStatement(
  { tenant, before, limit, ...filter }: RunFilter,
  place: (position: number) => string,
): RunListStatement {
  const values: (string | number)[] = [tenant];
  const conditions = [`tenant = ${place(1)}`];
  const asked: string[] = [];
  for (const [field, column] of Object.entries(columns)) {
    const value = filter[field as keyof typeof columns];
    if (value === undefined) continue;
    values.push(value);
    conditions.push(`${column} = ${place(values.length)}`);
    asked.push(column);
  }
  if (before !== undefined) {
    values.push(before);
    conditions.push(`id < ${place(values.length)}`);
    asked.push('before');
  }
  values.push(limit);
  const text = `select * from runs where ${conditions.join(' and ')} order by id desc limit ${place(values.length)}`;
  return { name: ['list-runs', ...asked].join('-'), text, values };
}
