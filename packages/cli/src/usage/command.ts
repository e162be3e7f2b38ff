import { isTimeZone } from '@strata/shared/money/budget-window.ts';
import { usageCsv } from '@strata/shared/money/usage-csv.ts';
import { type UsageFilter, type UsageGroup, usageGroups } from '@strata/shared/money/usage-groups.ts';
import { monthBounds, monthPattern } from '@strata/shared/money/usage-month.ts';
import { reportUsage } from '@strata/shared/money/usage-report.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';
import { InvalidArgumentError } from 'commander';
import { requireOrder } from '../moment.ts';
import { tellNothing } from '../tell-nothing.ts';

export interface UsageOptions {
  readonly by: readonly UsageGroup[];
  readonly days: number;
  readonly month?: string;
  readonly timeZone: string;
  readonly tenant?: string;
  readonly from?: number;
  readonly to?: number;
  readonly where?: readonly Filter[];
}

type Filter = readonly [name: UsageFilter, glob: string];

const dayMs = 86_400_000;
export const usageFilters = usageGroups.filter(group => group !== 'day' && group !== 'tenant');

/** Names with commas between. */
export function parseGroups(text: string): readonly UsageGroup[] {
  const names = [...new Set(text.split(','))].map(name => usageGroups.find(each => each === name));
  const known = names.filter(name => name !== undefined);
  if (known.length < names.length) throw new InvalidArgumentError(`Known: ${usageGroups.join(', ')}.`);
  return known;
}

/** `team=support`; may be given several times, once for each name. */
export function parseFilter(text: string, before: readonly Filter[] = []): readonly Filter[] {
  const equals = text.indexOf('=');
  const name = usageFilters.find(each => each === text.slice(0, equals));
  const glob = text.slice(equals + 1);
  if (name === undefined || glob === '' || before.some(([known]) => known === name)) {
    throw new InvalidArgumentError(
      `Expected each of ${usageFilters.join(', ')} at most once, as in model='claude*'.`,
    );
  }
  return [...before, [name, glob]];
}

export function parseDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 3660) {
    throw new InvalidArgumentError('Expected a whole number from 1 to 3660.');
  }
  return days;
}

export function parseMonth(text: string): string {
  if (monthPattern.test(text)) return text;
  throw new InvalidArgumentError("Expected '2026-10', 'this' or 'last'.");
}

export function parseTimeZone(text: string): string {
  if (isTimeZone(text)) return text;
  throw new InvalidArgumentError("Expected a time zone such as 'Europe/Berlin'.");
}

/** `strata usage`: what was used and what it cost, as CSV, so that it can go on into a table or a script. */
export async function showUsage(options: UsageOptions): Promise<void> {
  const { by, tenant, where = [] } = options;
  const span = spanOf(options, Date.now());
  await withSqlStore(loadSharedConfig(), async sql => {
    const totals = await reportUsage(sql, { by, ...span, tenant, where: Object.fromEntries(where) });
    if (totals.length === 0) await tellNothing(sql, { what: 'usage that fits', tenant });
    process.stdout.write(usageCsv(by, totals));
  });
}

function spanOf({ month, timeZone, from, to, days }: UsageOptions, nowMs: number) {
  if (month !== undefined) return monthBounds(month, { timeZone, nowMs });
  requireOrder(from, to);
  const toMs = to ?? nowMs + 1;
  return { fromMs: from ?? toMs - days * dayMs, toMs };
}
