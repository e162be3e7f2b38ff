import { systemClock } from '@strata/shared/clock.ts';
import { createLimitRules } from '@strata/shared/limits/limit-rules.ts';
import { toLimits } from '@strata/shared/limits/limit-section.ts';
import { subjectText } from '@strata/shared/money/subject.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';

export interface LimitOptions {
  readonly tenant?: string;
}

/** `strata limits`: those of the configuration, then those of the admin API. A limit of concurrency has no window. */
export async function showLimits({ tenant }: LimitOptions): Promise<void> {
  const config = loadSharedConfig();
  const set = await withSqlStore(config, sql => createLimitRules({ sql, clock: systemClock }).all());
  for (const limit of [...toLimits(config.limits), ...set]) {
    if (tenant !== undefined && limit.tenant !== tenant) continue;
    const window = limit.unit === 'concurrency' ? '' : String(limit.windowMs / 1000);
    const { id, name, unit, amount } = limit;
    const fields = [id, limit.tenant, name, subjectText(limit.subject), unit, amount, window];
    process.stdout.write(`${fields.join('\t')}\n`);
  }
}
