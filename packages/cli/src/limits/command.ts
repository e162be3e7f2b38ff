import { limitTarget } from '@strata/shared/admin/resources/limits.ts';
import { systemClock } from '@strata/shared/clock.ts';
import { createTreeStore } from '@strata/shared/identity/tree-store.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Limit } from '@strata/shared/limits/limit.ts';
import { createLimitRules, type LimitRule, type LimitRules } from '@strata/shared/limits/limit-rules.ts';
import { toLimit, toLimits, writtenLimit } from '@strata/shared/limits/limit-section.ts';
import { subjectText } from '@strata/shared/money/subject.ts';
import { loadSharedConfig, withAuditedStore, withSqlStore } from '@strata/shared/with-key-store.ts';
import { parseWritten } from '../parse-written.ts';
import { tellNothing } from '../tell-nothing.ts';
import { requireOrganisation } from '../tree/require-organisation.ts';

export interface LimitOptions {
  readonly tenant?: string;
}

/** `strata limits`: those of the configuration, then those of the admin API. A limit of concurrency has no window. */
export async function showLimits({ tenant }: LimitOptions): Promise<void> {
  const config = loadSharedConfig();
  await withSqlStore(config, async sql => {
    const set = await createLimitRules({ sql, clock: systemClock }).all();
    const shown = [...toLimits(config.limits), ...set].filter(
      limit => tenant === undefined || limit.tenant === tenant,
    );
    if (shown.length === 0) await tellNothing(sql, { what: 'limit', tenant });
    for (const limit of shown) process.stdout.write(line(limit));
  });
}

export interface SetLimitOptions {
  readonly tenant: string;
  readonly subject: string;
  readonly unit: string;
  readonly amount: string;
  readonly per?: string;
  readonly shared: boolean;
}

/** `strata limits set NAME`: makes the limit, or gives the one of that name another amount and window. Prints it. */
export async function setLimit(name: string, options: SetLimitOptions): Promise<void> {
  const { shared, amount, ...rest } = options;
  const written = parseWritten(writtenLimit, { ...rest, name, each: !shared, amount: Number(amount) });
  const wanted = toLimit(newId('lim', systemClock.now()), written);
  const rule = await withAuditedStore(loadSharedConfig(), async (sql, audited) => {
    await requireOrganisation(createTreeStore({ sql, clock: systemClock }), options.tenant);
    const rules = createLimitRules({ sql, clock: systemClock });
    const known = await findByName(rules, wanted);
    if (known === undefined) return rules.create(wanted, audited('limit.create', limitTarget));
    requireSamePlace(known, wanted);
    return rules.update(
      known.id,
      { amount: wanted.amount, windowMs: wanted.windowMs },
      { revision: known.version, ...audited('limit.change', limitTarget) },
    );
  });
  process.stdout.write(line(rule));
}

/** `strata limits delete ID`. */
export async function deleteLimit(id: string): Promise<void> {
  if (id.startsWith('config:')) throw new Error('The configuration file holds this limit. Change it there.');
  await withAuditedStore(loadSharedConfig(), (sql, audited) =>
    createLimitRules({ sql, clock: systemClock }).remove(id, audited('limit.delete', limitTarget)),
  );
  process.stderr.write(`Limit ${id} is gone.\n`);
}

async function findByName(rules: LimitRules, { tenant, name }: Limit): Promise<LimitRule | undefined> {
  return (await rules.all()).find(rule => rule.tenant === tenant && rule.name === name);
}

/** What is counted elsewhere or in another unit is another limit. */
function requireSamePlace(known: Limit, wanted: Limit): void {
  const place = ({ subject, unit, isEach }: Limit) => JSON.stringify([subjectText(subject), unit, isEach]);
  if (place(known) === place(wanted)) return;
  throw new Error(
    `The limit '${known.name}' (${known.id}) counts ${known.unit} of ${subjectText(known.subject)}. Delete it first, or choose another name.`,
  );
}

function line({ id, tenant, name, subject, unit, amount, windowMs }: Limit): string {
  const window = unit === 'concurrency' ? '' : String(windowMs / 1000);
  return `${[id, tenant, name, subjectText(subject), unit, amount, window].join('\t')}\n`;
}
