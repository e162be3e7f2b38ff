import { reportUsage, type UsageGroup, usageCsv, usageGroups } from '@strata/shared/money/usage-report.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';
import { InvalidArgumentError } from 'commander';

export interface UsageOptions {
  readonly by: readonly UsageGroup[];
  readonly days: number;
  readonly tenant?: string;
}

/** Names with commas between. */
export function parseGroups(text: string): readonly UsageGroup[] {
  const names = [...new Set(text.split(','))].map(name => usageGroups.find(each => each === name));
  const known = names.filter(name => name !== undefined);
  if (known.length < names.length) throw new InvalidArgumentError(`Known: ${usageGroups.join(', ')}.`);
  return known;
}

export function parseDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 3660) {
    throw new InvalidArgumentError('Expected a whole number from 1 to 3660.');
  }
  return days;
}

/** `strata usage`: what was used and what it cost, as CSV, so that it can go on into a table or a script. */
export async function showUsage({ by, days, tenant }: UsageOptions): Promise<void> {
  const toMs = Date.now() + 1;
  const totals = await withSqlStore(loadSharedConfig(), store =>
    reportUsage(store, { by, fromMs: toMs - days * 86_400_000, toMs, tenant }),
  );
  process.stdout.write(usageCsv(by, totals));
}
