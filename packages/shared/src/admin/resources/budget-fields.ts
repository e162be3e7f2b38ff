import * as z from 'zod';
import { alertPercents, type Budget } from '../../money/budget.ts';
import type { BudgetChange, NewBudget, Reconciliation } from '../../money/budget-store.ts';
import { type BudgetWindow, isTimeZone } from '../../money/budget-window.ts';
import { parseUsd, usdText } from '../../money/nano-usd.ts';
import { parseSubject, subjectText, wrongBudgetSubject } from '../../money/subject.ts';
import type { AdminDeps } from '../admin-deps.ts';

const usd = z
  .string()
  .transform((text, context) => {
    const nanoUsd = parseUsd(text);
    if (nanoUsd === undefined) context.addIssue("expected an amount such as '25.50'");
    return nanoUsd ?? 0n;
  })
  .describe('USD, a decimal number as a text.');

const window = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.enum(['day', 'week', 'month']),
    time_zone: z.string().refine(isTimeZone, "expected a time zone such as 'Europe/Berlin'").default('UTC'),
  }),
  z.strictObject({ type: z.literal('rolling'), hours: z.int().min(1).max(8784) }),
  z.strictObject({ type: z.literal('total') }),
]);

const subject = z
  .string()
  .max(300)
  .transform((text, context) => {
    const wrong = wrongBudgetSubject(text);
    if (wrong !== undefined) context.addIssue(wrong);
    return parseSubject(text) ?? { kind: 'organisation' as const, id: '' };
  })
  .describe('What the budget is for: `team:support`.');

const mode = z.enum(['hard', 'soft']);

export const budgetAnswer = z.object({
  id: z.string(),
  organisation: z.string(),
  subject: z.string(),
  limit_usd: z.string(),
  window: z.object({
    type: z.enum(['day', 'week', 'month', 'rolling', 'total']),
    time_zone: z.string().optional(),
    hours: z.number().optional(),
  }),
  mode,
  revision: z.int(),
  spent_usd: z.string().describe('Settled in the present window.'),
  open_usd: z.string().describe('Granted to processes and not settled yet.'),
  lost_usd: z.string().describe('Granted to processes that are gone; counts as spent.'),
  alerts: z
    .array(z.int())
    .describe(
      'Which of 50, 80 and 100 % of the limit are spent in the present window. Each is logged when it is reached.',
    ),
});

function showWindow(shown: BudgetWindow): z.input<typeof budgetAnswer>['window'] {
  if (shown.type === 'rolling') return { type: shown.type, hours: shown.ms / 3_600_000 };
  return shown.type === 'total' ? { type: shown.type } : { type: shown.type, time_zone: shown.timeZone };
}

export async function showBudget(
  { budgetStore }: Pick<AdminDeps, 'budgetStore'>,
  budget: Budget,
): Promise<z.input<typeof budgetAnswer>> {
  const totals = await budgetStore.totals(budget.id);
  const spentNanoUsd = totals?.spentNanoUsd ?? 0n;
  return {
    id: budget.id,
    organisation: budget.tenant,
    subject: subjectText(budget.subject),
    limit_usd: usdText(budget.limitNanoUsd),
    window: showWindow(budget.window),
    mode: budget.mode,
    revision: budget.version,
    spent_usd: usdText(spentNanoUsd),
    open_usd: usdText(totals?.openNanoUsd ?? 0n),
    lost_usd: usdText(totals?.lostNanoUsd ?? 0n),
    alerts: alertPercents.filter(
      percent => spentNanoUsd > 0n && spentNanoUsd * 100n >= budget.limitNanoUsd * BigInt(percent),
    ),
  };
}

function windowOf(written: z.output<typeof window>): BudgetWindow {
  if (written.type === 'rolling') return { type: 'rolling', ms: written.hours * 3_600_000 };
  return written.type === 'total' ? written : { type: written.type, timeZone: written.time_zone };
}

/** A budget as it is asked for. */
export const writtenBudget = z.strictObject({
  subject,
  limit_usd: usd,
  window,
  mode: mode.default('hard'),
});

export function toNewBudget(id: string, tenant: string, written: z.output<typeof writtenBudget>): NewBudget {
  return {
    id,
    tenant,
    subject: written.subject,
    limitNanoUsd: written.limit_usd,
    window: windowOf(written.window),
    mode: written.mode,
  };
}

/** What of a budget can be changed. */
export const budgetChange = z.strictObject({ limit_usd: usd, mode }).partial();

export function toBudgetChange(written: z.output<typeof budgetChange>): BudgetChange {
  return {
    ...(written.limit_usd !== undefined && { limitNanoUsd: written.limit_usd }),
    ...(written.mode !== undefined && { mode: written.mode }),
  };
}

/** How a change of a budget stands in its audit entry. */
export const budgetTarget = (budget: Budget) => ({
  type: 'budget',
  id: budget.id,
  details: {
    subject: subjectText(budget.subject),
    limit_usd: usdText(budget.limitNanoUsd),
    mode: budget.mode,
  },
});

/** What was spent of what processes that are gone had held. */
export const reconciliation = z.strictObject({
  lost_usd: usd.describe(
    '`lost_usd` of the budget as it was read. Where more is lost by now, nothing changes.',
  ),
  spent_usd: usd.describe('What of it was spent.'),
});

export function toReconciliation(written: z.output<typeof reconciliation>): Reconciliation {
  return { lostNanoUsd: written.lost_usd, spentNanoUsd: written.spent_usd };
}

/** How a reconciliation stands in its audit entry. */
export const reconciledTarget = (written: z.output<typeof reconciliation>) => (budget: Budget) => ({
  ...budgetTarget(budget),
  details: {
    subject: subjectText(budget.subject),
    lost_usd: usdText(written.lost_usd),
    spent_usd: usdText(written.spent_usd),
  },
});
