import * as z from 'zod';
import { GatewayError } from '../../errors/gateway-error.ts';
import { usdText } from '../../money/nano-usd.ts';
import { reportUsage, type UsageFilter, usageCsv, usageGroups } from '../../money/usage-report.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { moment, showMoment } from './list-page.ts';

const dayMs = 86_400_000;
const filters = usageGroups.filter(group => group !== 'day' && group !== 'tenant');
const filterText = z.string().min(1).max(300).optional();

const usageAnswer = z.object({
  by: z.enum(usageGroups),
  from: moment,
  to: moment,
  items: z.array(
    z.object({
      group: z.string().nullable().describe('Null: what belongs to no run, no key and so on.'),
      attempts: z.int(),
      input_tokens: z.int(),
      output_tokens: z.int(),
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
        by: z.enum(usageGroups).default('model'),
        from: moment.optional().describe('30 days ago when left out.'),
        to: moment.optional().describe('Not included; now when left out.'),
        format: z.enum(['json', 'csv']).default('json'),
        ...Object.fromEntries(filters.map(name => [name, filterText])),
      }),
      answer: usageAnswer,
      textTypes: ['text/csv'],
      handle: async ({ query }, context) => {
        const { by, from, to, format } = query;
        const toMs = to === undefined ? clock.now() + 1 : Date.parse(to);
        const fromMs = from === undefined ? toMs - 30 * dayMs : Date.parse(from);
        const where = whereOf(query, context);
        const totals = await reportUsage(sql, { by, fromMs, toMs, tenant: context.tenant, where });
        if (format === 'csv') return { text: usageCsv(by, totals), type: 'text/csv; charset=utf-8' };
        const items = totals.map(total => ({
          group: total.group ?? null,
          attempts: total.attempts,
          input_tokens: total.inputTokens,
          output_tokens: total.outputTokens,
          tool_units: total.toolUnits,
          cost_usd: usdText(total.costNanoUsd),
          attempts_without_cost: total.withoutCost,
        }));
        return { body: { by, from: showMoment(fromMs), to: showMoment(toMs), items } };
      },
    }),
  ];
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
