import * as z from 'zod';
import { GatewayError } from '../../errors/gateway-error.ts';
import { newId } from '../../ids.ts';
import type { Limit } from '../../limits/limit.ts';
import type { LimitRule } from '../../limits/limit-rules.ts';
import { limitWindows, toLimit, writtenLimit } from '../../limits/limit-section.ts';
import { subjectText } from '../../money/subject.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { pageOf, pageQuery, readPage } from './list-page.ts';
import { idParams } from './tree.ts';

const { per, amount } = writtenLimit.shape;

const limitAnswer = z.object({
  id: z.string(),
  organisation: z.string(),
  name: z.string(),
  subject: z.string(),
  each: z.boolean().describe('Whether every id that fits the pattern has the limit for itself.'),
  unit: writtenLimit.shape.unit,
  amount: z.int(),
  per: z.enum(['second', 'minute', 'hour', 'day']).optional().describe('Absent with `concurrency`.'),
  source: z
    .enum(['admin', 'config'])
    .describe('Where it was set. What the configuration holds is changed there.'),
  revision: z.int().optional(),
});

type ShownLimit = z.input<typeof limitAnswer>;

function showLimit(limit: Limit & Partial<Pick<LimitRule, 'version'>>): ShownLimit {
  return {
    id: limit.id,
    organisation: limit.tenant,
    name: limit.name,
    subject: subjectText(limit.subject),
    each: limit.isEach,
    unit: limit.unit,
    amount: limit.amount,
    ...(limit.unit !== 'concurrency' && { per: windowName(limit.windowMs) }),
    source: limit.version === undefined ? 'config' : 'admin',
    ...(limit.version !== undefined && { revision: limit.version }),
  };
}

function windowName(ms: number): ShownLimit['per'] {
  const names = Object.keys(limitWindows) as (keyof typeof limitWindows)[]; // the keys of that very object
  return names.find(name => limitWindows[name] === ms);
}

/** How a change of a limit stands in its audit entry. */
export const limitTarget = (limit: Limit) => {
  const {
    id,
    organisation: _organisation,
    source: _source,
    revision: _revision,
    ...details
  } = showLimit(limit);
  return { type: 'limit', id, details };
};

/** Limits of an organisation. Those of the configuration are shown too, and are changed there. */
export function limitRoutes(deps: AdminDeps): AdminRoute[] {
  return [listLimits(deps), createLimit(deps), getLimit(deps), changeLimit(deps), deleteLimit(deps)];
}

const readers = ['owner', 'operator', 'auditor'] as const;
const writers = ['owner', 'operator'] as const;

function listLimits({ configuredLimits, limitRules }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/limits',
    operation: 'limit.list',
    summary: 'The limits of rate and concurrency of the organisation, by id.',
    roles: readers,
    query: z.object(pageQuery),
    answer: pageOf(limitAnswer),
    handle: ({ query }, context) =>
      readPage<Limit, ShownLimit>(context, query, {
        read: async ({ after = '', limit }) => {
          const configured = configuredLimits.filter(
            each => each.tenant === context.tenant && each.id > after,
          );
          const rules = await limitRules.list({ tenant: context.tenant, after, limit });
          return [...configured, ...rules]
            .sort((left, right) => (left.id < right.id ? -1 : 1))
            .slice(0, limit);
        },
        positionOf: limit => limit.id,
        show: showLimit,
      }),
  });
}

function createLimit(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/limits',
    operation: 'limit.create',
    summary: 'Set a limit. It holds in every process within a second.',
    roles: writers,
    changes: true,
    status: 201,
    body: writtenLimit.omit({ tenant: true }),
    answer: limitAnswer,
    handle: async ({ body }, context) => {
      const id = newId('lim', deps.clock.now());
      const limit = toLimit(id, { ...body, tenant: context.tenant });
      const rule = await deps.limitRules.create(limit, context.change<LimitRule>(limitTarget));
      return { body: showLimit(rule), revision: rule.version };
    },
  });
}

function getLimit(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/limits/:id',
    operation: 'limit.get',
    summary: 'One limit.',
    roles: readers,
    params: idParams,
    answer: limitAnswer,
    handle: async ({ params }, context) => {
      const configured = findConfigured(deps, context, params.id);
      if (configured !== undefined) return { body: showLimit(configured) };
      const rule = await findRule(deps, context, params.id);
      return { body: showLimit(rule), revision: rule.version };
    },
  });
}

function changeLimit(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'PATCH',
    path: '/limits/:id',
    operation: 'limit.change',
    summary: 'Change the amount or the window of a limit.',
    roles: writers,
    changes: true,
    needsRevision: true,
    params: idParams,
    body: z.strictObject({ amount, per: per.unwrap() }).partial(),
    answer: limitAnswer,
    handle: async ({ params, body }, context) => {
      await requireRule(deps, context, params.id);
      const change = {
        ...(body.amount !== undefined && { amount: body.amount }),
        ...(body.per !== undefined && { windowMs: limitWindows[body.per] }),
      };
      const rule = await deps.limitRules.update(params.id, change, context.change<LimitRule>(limitTarget));
      return { body: showLimit(rule), revision: rule.version };
    },
  });
}

function deleteLimit(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'DELETE',
    path: '/limits/:id',
    operation: 'limit.delete',
    summary: 'Take a limit back.',
    roles: writers,
    changes: true,
    needsRevision: true,
    status: 204,
    params: idParams,
    handle: async ({ params }, context) => {
      await requireRule(deps, context, params.id);
      await deps.limitRules.remove(params.id, context.change<LimitRule>(limitTarget));
      return { body: undefined };
    },
  });
}

function findConfigured(
  { configuredLimits }: AdminDeps,
  { tenant }: AdminContext,
  id: string,
): Limit | undefined {
  return configuredLimits.find(each => each.tenant === tenant && each.id === id);
}

async function findRule({ limitRules }: AdminDeps, { tenant }: AdminContext, id: string): Promise<LimitRule> {
  const rule = await limitRules.find(id);
  if (rule === undefined || rule.tenant !== tenant) throw absent('limit');
  return rule;
}

async function requireRule(deps: AdminDeps, context: AdminContext, id: string): Promise<void> {
  if (findConfigured(deps, context, id) === undefined) {
    await findRule(deps, context, id);
    return;
  }
  throw new GatewayError('conflict', 'The configuration file holds this limit. Change it there.', {
    reason: 'limit_in_config',
  });
}
