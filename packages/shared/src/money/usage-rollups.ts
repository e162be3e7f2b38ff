import { hash } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { MoneySchema } from './money-schema.ts';
import type { RollupTables } from './rollup-schema.ts';
import { audioOf, imageOf, type LedgerEntry } from './usage-entry.ts';

type RollupRow = RollupTables['usage_rollups'];

export const dayMs = 86_400_000;
/** 27 columns a row: below the 32,766 parameters that SQLite takes. */
const maxRows = 1000;

const sums = [
  'requests',
  'input',
  'cache_read',
  'cache_write',
  'cache_write_1h',
  'audio',
  'image',
  'output',
  'reasoning',
  'tool_units',
  'cost_nano_usd',
  'without_cost',
] as const satisfies readonly (keyof RollupRow)[];

/**
 * Adds entries to the sums of their day, in the transaction that stores them. So a question about a month reads some thousand sums instead of
 * millions of entries, and the two never differ.
 */
export async function addToRollups(
  transaction: Transaction<MoneySchema>,
  entries: readonly LedgerEntry[],
): Promise<void> {
  const rows = rollUp(entries);
  for (let from = 0; from < rows.length; from += maxRows) {
    await transaction
      .insertInto('usage_rollups')
      .values(rows.slice(from, from + maxRows))
      .onConflict(conflict =>
        conflict
          .column('id')
          .doUpdateSet(row =>
            Object.fromEntries(
              sums.map(
                name => [name, row(`usage_rollups.${name}`, '+', row.ref(`excluded.${name}`))] as const,
              ),
            ),
          ),
      )
      .execute();
  }
}

/** In the order of their ids, so that processes that write at once do not wait for one another in a circle. */
export function rollUp(entries: readonly LedgerEntry[]): RollupRow[] {
  const rows = new Map<string, RollupRow>();
  for (const entry of entries) {
    add(rows, entry, 'all', '');
    add(rows, entry, 'run', entry.runId ?? '');
    for (const tag of entry.tags?.length ? entry.tags : ['']) add(rows, entry, 'tag', tag);
  }
  return [...rows.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
}

function add(rows: Map<string, RollupRow>, entry: LedgerEntry, kind: string, extra: string): void {
  const place = {
    day: Math.floor(entry.atMs / dayMs),
    kind,
    tenant: entry.tenant,
    team: entry.team ?? '',
    project: entry.project ?? '',
    principal: entry.principal,
    key_id: entry.keyId ?? '',
    gateway: entry.gateway,
    alias: entry.alias,
    provider: entry.provider,
    model: entry.model,
    tool: entry.tool ?? '',
    agent: entry.agent ?? '',
    extra,
  };
  const key = JSON.stringify(Object.values(place));
  const known = rows.get(key);
  const own = sumsOf(entry);
  if (known === undefined) {
    rows.set(key, { id: hash('sha256', key).slice(0, 32), ...place, ...own });
    return;
  }
  for (const name of sums) {
    if (name === 'cost_nano_usd') known[name] = BigInt(known[name]) + own[name];
    else known[name] += own[name];
  }
}

function sumsOf({ usage, costNanoUsd }: LedgerEntry) {
  return {
    requests: 1,
    input: usage?.input ?? 0,
    cache_read: usage?.cacheRead ?? 0,
    cache_write: usage?.cacheWrite ?? 0,
    cache_write_1h: usage?.cacheWrite1h ?? 0,
    audio: usage ? audioOf(usage) : 0,
    image: usage ? imageOf(usage) : 0,
    output: usage?.output ?? 0,
    reasoning: usage?.reasoning ?? 0,
    tool_units: usage?.toolUnits ?? 0,
    cost_nano_usd: costNanoUsd ?? 0n,
    without_cost: costNanoUsd === undefined ? 1 : 0,
  };
}
