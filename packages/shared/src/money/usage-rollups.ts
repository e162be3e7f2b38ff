import { hash } from 'node:crypto';
import type { Transaction } from 'kysely';
import { RowInsert } from '../stores/row-insert.ts';
import type { MoneySchema } from './money-schema.ts';
import { callNames, personNames, type RollupKind, type RollupTables } from './rollup-schema.ts';
import { audioOf, haveSameNames, imageOf, type LedgerEntry } from './usage-entry.ts';

type RollupRow = RollupTables['usage_rollups'];

export const hourMs = 3_600_000;
export const quarterMs = 6 * hourMs;
export const dayMs = 24 * hourMs;

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
 * Adds entries to the sums of their hour, quarter of a day, day and month, in the transaction that stores them. So a question about a month reads some thousand
 * sums instead of millions of entries, and the two never differ.
 */
export async function addToRollups(
  transaction: Transaction<MoneySchema>,
  entries: readonly LedgerEntry[],
): Promise<void> {
  await rollups.execute(transaction, rollUp(entries));
}

const rollups = new RowInsert<MoneySchema, RollupRow>((transaction, rows) =>
  transaction
    .insertInto('usage_rollups')
    .values(rows)
    .onConflict(conflict =>
      conflict
        .column('id')
        .doUpdateSet(row =>
          Object.fromEntries(
            sums.map(name => [name, row(`usage_rollups.${name}`, '+', row.ref(`excluded.${name}`))] as const),
          ),
        ),
    ),
);

/** In the order of their ids, so that processes that write at once do not wait for one another in a circle. */
export function rollUp(entries: readonly LedgerEntry[]): RollupRow[] {
  const rows = new Map<string, RollupRow>();
  for (const { entry, own } of alike(entries)) {
    const hour = hourOf(entry);
    const day = Math.floor(entry.atMs / dayMs);
    const names = namesOf(entry);
    const shared = { ...names, ...noPerson };
    const place = (kind: RollupKind, start: number, of: Names, extra = '') =>
      add(rows, { day: start, kind, ...of, extra }, own);
    place('all', day, names);
    place('month', startOfMonth(day), names);
    place('quarter', Math.floor(entry.atMs / quarterMs), names);
    place('day', day, shared);
    place('hour', hour, shared);
    place('run', day, names, entry.runId);
    place('run-hour', hour, { ...names, ...noCall }, entry.runId);
    for (const tag of entry.tags?.length ? entry.tags : ['']) {
      place('tag', day, names, tag);
      place('tag-day', day, shared, tag);
      place('tag-hour', hour, shared, tag);
    }
  }
  return [...rows.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
}

/** The first day of the month (UTC) that a day is in; both are days since the epoch. */
export function startOfMonth(day: number): number {
  return day - new Date(day * dayMs).getUTCDate() + 1;
}

interface Alike {
  /** Any of them. */
  readonly entry: LedgerEntry;
  readonly own: Sums;
}

/** What belongs in the same rows all over is added up first: most entries of a batch do, and most with the one before. */
function alike(entries: readonly LedgerEntry[]): Iterable<Alike> {
  const groups = new Map<string, Alike>();
  let last: Alike | undefined;
  for (const entry of entries) {
    const isLikeLast =
      last !== undefined && isSameHour(last.entry, entry) && haveSameNames(last.entry, entry);
    const group: Alike | undefined = isLikeLast ? last : groups.get(keyOf(entry));
    if (group === undefined) {
      last = { entry, own: sumsOf(entry) };
      groups.set(keyOf(entry), last);
    } else {
      addTo(group.own, sumsOf(entry));
      last = group;
    }
  }
  return groups.values();
}

function keyOf(entry: LedgerEntry): string {
  return JSON.stringify([hourOf(entry), Object.values(namesOf(entry)), entry.runId, entry.tags]);
}

function isSameHour(one: LedgerEntry, other: LedgerEntry): boolean {
  return one.gateway === other.gateway && hourOf(one) === hourOf(other);
}

function hourOf({ atMs }: LedgerEntry): number {
  return Math.floor(atMs / hourMs);
}

type Sums = ReturnType<typeof sumsOf>;
type Names = Readonly<Record<keyof ReturnType<typeof namesOf>, string>>;
type Place = Omit<RollupRow, 'id' | keyof Sums>;

const blank = <Name extends string>(list: readonly Name[]) =>
  Object.fromEntries(list.map(name => [name, ''])) as Record<Name, ''>; // those of the list
const noPerson = blank(personNames);
const noCall = blank(callNames);

function namesOf(entry: LedgerEntry) {
  return {
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
  };
}

function add(rows: Map<string, RollupRow>, place: Place, own: Sums): void {
  const key = JSON.stringify(Object.values(place));
  const known = rows.get(key);
  if (known === undefined) rows.set(key, { id: hash('sha256', key).slice(0, 32), ...place, ...own });
  else addTo(known, own);
}

/** Written out: called for every entry, where a loop over names costs several times as much. */
function addTo(known: Pick<RollupRow, keyof Sums>, own: Sums): void {
  known.requests += own.requests;
  known.input += own.input;
  known.cache_read += own.cache_read;
  known.cache_write += own.cache_write;
  known.cache_write_1h += own.cache_write_1h;
  known.audio += own.audio;
  known.image += own.image;
  known.output += own.output;
  known.reasoning += own.reasoning;
  known.tool_units += own.tool_units;
  known.cost_nano_usd = BigInt(known.cost_nano_usd) + own.cost_nano_usd;
  known.without_cost += own.without_cost;
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
