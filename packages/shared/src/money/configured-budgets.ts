import { GatewayError } from '../errors/gateway-error.ts';
import type { Budget } from './budget.ts';
import type { BudgetsSection } from './budget-section.ts';
import type { BudgetStore, NewBudget } from './budget-store.ts';
import type { BudgetWindow } from './budget-window.ts';
import { parseUsd } from './nano-usd.ts';
import { parseSubject } from './subject.ts';

const prefix = 'config:';

/**
 * Makes the budgets of the configuration those of the store: new ones are added, changed limits take effect, and what is not in the
 * configuration any more is removed. A budget whose subject or window was changed begins anew. Gateways that start together do the same.
 */
export async function applyConfiguredBudgets(store: BudgetStore, section: BudgetsSection): Promise<void> {
  const wanted = new Map(section.map(each => [`${prefix}${each.name}`, toBudget(each)]));
  for (const known of await store.list()) {
    if (!known.id.startsWith(prefix)) continue;
    const next = wanted.get(known.id);
    if (next !== undefined && isSamePlace(known, next)) {
      wanted.delete(known.id);
      const { limitNanoUsd, mode } = next;
      if (known.limitNanoUsd !== limitNanoUsd || known.mode !== mode)
        await store.update(known.id, { limitNanoUsd, mode });
      continue;
    }
    await store.remove(known.id).catch(unless('unknown_budget'));
  }
  for (const budget of wanted.values()) await store.create(budget).catch(unless('unique_violation'));
}

/** What the configuration holds would be back at the next start. @throws GatewayError conflict (`budget_in_config`). */
export function requireNotConfigured(id: string): void {
  if (!id.startsWith(prefix)) return;
  throw new GatewayError('conflict', 'The configuration file holds this budget. Change it there.', {
    reason: 'budget_in_config',
  });
}

function toBudget(each: BudgetsSection[number]): NewBudget {
  const subject = parseSubject(each.subject);
  const limitNanoUsd = parseUsd(each.limit_usd);
  if (subject === undefined || limitNanoUsd === undefined)
    throw new TypeError('The schema of budgets lets this not pass');
  return {
    id: `${prefix}${each.name}`,
    tenant: each.tenant,
    subject,
    limitNanoUsd,
    window: windowOf(each),
    mode: each.mode,
  };
}

function windowOf({ window, time_zone, rolling_hours }: BudgetsSection[number]): BudgetWindow {
  if (window === 'total') return { type: 'total' };
  if (window === 'rolling') return { type: 'rolling', ms: rolling_hours * 3_600_000 };
  return { type: window, timeZone: time_zone };
}

function isSamePlace(known: Budget, next: NewBudget): boolean {
  const place = ({ tenant, subject, window }: NewBudget) =>
    JSON.stringify([tenant, subject.kind, subject.id, Object.entries(window).sort()]);
  return place(known) === place(next);
}

/** Another gateway was faster: what is wanted is done. */
function unless(reason: string): (error: unknown) => void {
  return error => {
    if (!(error instanceof GatewayError) || error.reason !== reason) throw error;
  };
}
