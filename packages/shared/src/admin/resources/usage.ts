import * as z from 'zod';
import { GatewayError } from '../../errors/gateway-error.ts';
import { isTimeZone } from '../../money/budget-window.ts';
import { usdText } from '../../money/nano-usd.ts';
import { usageCsv } from '../../money/usage-csv.ts';
import { type UsageFilter, usageGroups } from '../../money/usage-groups.ts';
import { monthBounds, monthPattern } from '../../money/usage-month.ts';
import { reportUsage } from '../../money/usage-report.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { moment, requireOrder, showMoment } from './list-page.ts';

const dayMs = 86_400_000;
const filters = usageGroups.filter(group => group !== 'day' && group !== 'tenant');
const maxGroups = 1000;
const groupList = z
  .string()
  .max(200)
  .default('model')
  .transform((text, context) => {
    const names = text.split(',').map(name => usageGroups.find(group => group === name));
    const known = names.filter(name => name !== undefined);
    if (known.length < names.length || new Set(known).size < known.length)
      context.addIssue(`expected some of ${usageGroups.join(', ')}, each once, with commas between`);
    return known;
  })
  .describe(`What to group by, any of them together: \`team,model,day\`. Known: ${usageGroups.join(', ')}.`);
const filterText = z.string().min(1).max(300).optional();

const usageAnswer = z.object({
  by: z.array(z.enum(usageGroups)),
  from: moment,
  to: moment,
  is_complete: z.boolean().describe('Whether these are all groups, and not only the first of them.'),
  items: z.array(
    z.object({
      groups: z
        .array(z.string().nullable())
        .describe('In the order of `by`. Null: what belongs to no run, no key and so on.'),
      attempts: z.int(),
      input_tokens: z.int(),
      output_tokens: z.int(),
      media_tokens: z.int().describe('Of sound and pictures, in and out.'),
      tool_units: z.int(),
      cost_usd: z.string(),
      attempts_without_cost: z.int().describe('Their cost is not known; they are not in the sum.'),
    }),
  ),
});

/** What was used and what it cost, as JSON or CSV. */
export function usageRoutes({ sql, clock }: AdminDeps): AdminRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/usage',
      operation: 'usage.report',
      summary: 'What was used and what it cost, the dearest group first, days in order.',
      roles: ['owner', 'operator', 'auditor', 'member'],
      query: z.object({
        by: groupList,
        from: moment.optional().describe('30 days ago when left out.'),
        to: moment.optional().describe('Not included; now when left out.'),
        month: z
          .string()
          .regex(monthPattern, "expected '2026-10', 'this' or 'last'")
          .optional()
          .describe('Instead of `from` and `to`: a calendar month such as `2026-10`, or `this`, or `last`.'),
        time_zone: z
          .string()
          .max(100)
          .refine(isTimeZone, "expected a time zone such as 'Europe/Berlin'")
          .default('UTC')
          .describe('Where the month begins at midnight. Groups by day are days of UTC.'),
        limit: z.coerce.number().int().min(1).max(10_000).default(maxGroups).describe('Groups at most.'),
        format: z.enum(['json', 'csv']).default('json'),
        ...Object.fromEntries(filters.map(name => [name, filterText])),
      }),
      answer: usageAnswer,
      textTypes: ['text/csv'],
      handle: async ({ query }, context) => {
        const { by, format, limit } = query;
        const { fromMs, toMs } = spanOf(query, clock.now());
        const where = whereOf(query, context);
        const { tenant } = context;
        const found = await reportUsage(sql, { by, fromMs, toMs, tenant, where, limit: limit + 1 });
        const totals = found.slice(0, limit);
        if (format === 'csv') return { text: usageCsv(by, totals), type: 'text/csv; charset=utf-8' };
        const items = totals.map(total => ({
          groups: total.groups.map(group => group ?? null),
          attempts: total.attempts,
          input_tokens: total.inputTokens,
          output_tokens: total.outputTokens,
          media_tokens: total.mediaTokens,
          tool_units: total.toolUnits,
          cost_usd: usdText(total.costNanoUsd),
          attempts_without_cost: total.withoutCost,
        }));
        const is_complete = found.length <= limit;
        return { body: { by, is_complete, from: showMoment(fromMs), to: showMoment(toMs), items } };
      },
    }),
  ];
}

interface WrittenSpan {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly month?: string | undefined;
  readonly time_zone: string;
}

function spanOf({ from, to, month, time_zone: timeZone }: WrittenSpan, nowMs: number) {
  if (month === undefined) {
    const toMs = to === undefined ? nowMs + 1 : Date.parse(to);
    const fromMs = from === undefined ? toMs - 30 * dayMs : Date.parse(from);
    requireOrder(fromMs, toMs);
    return { fromMs, toMs };
  }
  if (from === undefined && to === undefined) return monthBounds(month, { timeZone, nowMs });
  throw new GatewayError('invalid_request', 'Give `month`, or `from` and `to`: not both.', {
    reason: 'admin_request_invalid',
    param: 'month',
  });
}

/** A member asks about its own team, whatever it asks. */
function whereOf(
  query: Readonly<Record<string, unknown>>,
  { onlyTeam }: AdminContext,
): Partial<Record<UsageFilter, string>> {
  const asked = filters.flatMap(name =>
    typeof query[name] === 'string' ? [[name, query[name]] as const] : [],
  );
  const where: Partial<Record<UsageFilter, string>> = Object.fromEntries(asked);
  if (onlyTeam === undefined) return where;
  // In a filter `*` stands for any characters: a team that is called so could see others.
  if (onlyTeam.includes('*') || (where.team !== undefined && where.team !== onlyTeam))
    throw new GatewayError('permission_denied', 'A member sees the usage of its own team.', {
      reason: 'role_required',
    });
  return { ...where, team: onlyTeam };
}
