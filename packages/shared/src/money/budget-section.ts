import * as z from 'zod';
import { isTimeZone } from './budget-window.ts';
import { parseUsd } from './nano-usd.ts';
import { budgetSubjectKinds, wrongBudgetSubject } from './subject.ts';

const budget = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits and `. _ -`')
    .describe('Names the budget; unique in this list.'),
  tenant: z.string().min(1).max(200).default('default').describe('The organisation.'),
  subject: z
    .string()
    .superRefine((text, context) => {
      const wrong = wrongBudgetSubject(text);
      if (wrong !== undefined) context.addIssue(wrong);
    })
    .describe(
      `What the budget is for: one of ${budgetSubjectKinds.map(kind => `\`${kind}:\``).join(' ')} and an id, in which \`*\` stands for any characters.`,
    ),
  limit_usd: z
    .string()
    .refine(text => parseUsd(text) !== undefined, "expected an amount in quotes, such as '25.50'")
    .describe('USD, as a decimal number in quotes.'),
  window: z
    .enum(['day', 'week', 'month', 'rolling', 'total'])
    .default('month')
    .describe(
      'Over which time: a calendar day, week (from Monday) or month, the last `rolling_hours`, or for good.',
    ),
  time_zone: z
    .string()
    .refine(isTimeZone, "expected a time zone such as 'Europe/Berlin'")
    .default('UTC')
    .describe('Where calendar windows begin at midnight.'),
  rolling_hours: z.int().min(1).max(8784).default(24).describe('Length of a rolling window.'),
  mode: z
    .enum(['hard', 'soft'])
    .default('hard')
    .describe(
      '`hard` refuses what could go over the limit; `soft` only tells at 50, 80 and 100 %, as both do.',
    ),
});

/** The section `budgets` of the configuration. */
export const budgetsSection = z
  .array(budget)
  .max(10_000)
  .default([])
  .superRefine((list, context) => {
    const names = new Set<string>();
    for (const [index, { name }] of list.entries()) {
      if (names.has(name))
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'another budget has this name' });
      names.add(name);
    }
  })
  .describe(
    'What may be spent. Budgets that are made by the admin API are kept in the store and stand beside these. At start.',
  );

export type BudgetsSection = z.output<typeof budgetsSection>;
