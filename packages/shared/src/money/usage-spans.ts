import type { RollupKind } from './rollup-schema.ts';
import type { UsageGroup } from './usage-groups.ts';
import { dayMs, hourMs, quarterMs, startOfMonth } from './usage-rollups.ts';

/** A stretch of time and where its sums are. It is taken off where `sign` is -1. */
export interface Span {
  /** Undefined: there are no sums, the entries are read. */
  readonly kind?: RollupKind | undefined;
  /** As the column `day` of its kind has it; of entries in milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly sign: 1 | -1;
}

/** Sums of one length, of which all have the names that are asked for. */
interface Grain {
  readonly kind: RollupKind;
  /** Of the column `day`. */
  readonly unitMs: number;
  /** The border, in its unit, that is nearest to a moment. */
  nearest(ms: number): number;
}

const grain = (kind: RollupKind, unitMs: number): Grain => ({
  kind,
  unitMs,
  nearest: ms => Math.round(ms / unitMs),
});

const month: Grain = {
  kind: 'month',
  unitMs: dayMs,
  nearest(ms) {
    const first = startOfMonth(Math.floor(ms / dayMs));
    const next = startOfMonth(first + 31);
    return ms - first * dayMs < next * dayMs - ms ? first : next;
  },
};

/** What sums of runs by the hour have. */
const ofRuns: ReadonlySet<UsageGroup> = new Set(['tenant', 'team', 'project', 'run', 'day']);

/** The sums from which a question can be answered, the longest first. The fewer names a question needs, the fewer and shorter they can be. */
export function grainsFor(asked: ReadonlySet<UsageGroup>): readonly Grain[] {
  const isPersonal = asked.has('principal') || asked.has('key');
  if (asked.has('run'))
    return [...asked].every(group => ofRuns.has(group)) ? [grain('run-hour', hourMs)] : [grain('run', dayMs)];
  if (asked.has('tag'))
    return isPersonal ? [grain('tag', dayMs)] : [grain('tag-day', dayMs), grain('tag-hour', hourMs)];
  if (!isPersonal) return [grain('day', dayMs), grain('hour', hourMs)];
  const days = [grain('all', dayMs), grain('quarter', quarterMs)];
  return asked.has('day') ? days : [month, ...days];
}

/** How many of a kind are in a day: 1 of those that are of a day or longer. */
export function partsOfDay(kind: RollupKind | undefined): number {
  if (kind === 'quarter') return dayMs / quarterMs;
  return kind === 'hour' || kind === 'tag-hour' || kind === 'run-hour' ? dayMs / hourMs : 1;
}

/**
 * From the longest sums down to the entries, each up to the border that is nearest to either edge: what is missing there is added, what is too much
 * taken off. So no more than half of the shortest length is read from the entries at each edge, and a month of Berlin is the month of UTC, and two hours.
 */
export function spansOf(fromMs: number, toMs: number, grains: readonly Grain[]): Span[] {
  if (fromMs >= toMs) return fromMs === toMs ? [] : spansOf(toMs, fromMs, grains).map(opposite);
  const [longest, ...shorter] = grains;
  if (longest === undefined) return [{ from: fromMs, to: toMs, sign: 1 }];
  const { kind, unitMs } = longest;
  const [from, to] = [longest.nearest(fromMs), longest.nearest(toMs)];
  if (from === to) return spansOf(fromMs, toMs, shorter);
  return [
    { kind, from, to, sign: 1 },
    ...spansOf(fromMs, from * unitMs, shorter),
    ...spansOf(to * unitMs, toMs, shorter),
  ];
}

function opposite(span: Span): Span {
  return { ...span, sign: span.sign === 1 ? -1 : 1 };
}
