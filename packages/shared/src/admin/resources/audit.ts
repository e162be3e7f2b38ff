import * as z from 'zod';
import { exportEntries, listEntries } from '../../audit/audit-query.ts';
import { auditCategories, auditOutcomes, installationTenant } from '../../audit/audit-record.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { moment, pageOf, pageQuery, readPage, requireOrder, showMoment } from './list-page.ts';

const text = z.string().max(512).optional();
const chain = z
  .enum(['organisation', 'installation'])
  .default('organisation')
  .describe(
    '`installation`: what belongs to no organisation, such as unknown keys; for keys of the installation.',
  );

const filterQuery = {
  chain,
  from: moment.optional(),
  to: moment.optional().describe('Not included.'),
  category: z.enum(auditCategories).optional(),
  action: text,
  outcome: z.enum(auditOutcomes).optional(),
  principal: text,
  key_id: text,
  target: text.describe('`type:id`, as `tool:files__read`.'),
  run_id: text,
  trace_id: text,
};
const filterSchema = z.object(filterQuery);

const entryAnswer = z.object({
  seq: z.int(),
  record: z.record(z.string(), z.unknown()),
  hash: z.string(),
  seal: z.string(),
  values: z.record(z.string(), z.unknown()).optional(),
});

const readers = ['owner', 'operator', 'auditor'] as const;

/** Who did what. */
export function auditRoutes(deps: AdminDeps): AdminRoute[] {
  return [listAudit(deps), listCheckpoints(deps)];
}

function listAudit({ sql }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/audit',
    operation: 'audit.list',
    summary: 'The audit log, newest first; or all that matches as JSON lines in the order of the chain.',
    roles: readers,
    query: z.object({
      ...pageQuery,
      ...filterQuery,
      format: z.enum(['json', 'jsonl']).default('json'),
      values: z
        .enum(['true', 'false'])
        .default('false')
        .describe('Whether to show the values that records hold as keyed hashes.'),
    }),
    answer: pageOf(entryAnswer),
    textTypes: ['application/jsonl'],
    handle: async ({ query }, context) => {
      const filter = filterOf(query, context);
      const withValues = query.values === 'true';
      if (query.format === 'jsonl')
        return {
          text: exportEntries(sql.db, filter, { withValues }),
          type: 'application/jsonl; charset=utf-8',
        };
      return readPage(context, query, {
        read: ({ after, limit }) =>
          listEntries(sql.db, filter, {
            after: after === undefined ? undefined : Number(after),
            limit,
            newestFirst: true,
            withValues,
          }),
        positionOf: entry => String(entry.seq),
        show: entry => ({
          ...entry,
          record: { ...entry.record },
          ...(entry.values && { values: { ...entry.values } }),
        }),
      });
    },
  });
}

function filterOf(query: z.output<typeof filterSchema>, context: AdminContext) {
  const fromMs = query.from === undefined ? undefined : Date.parse(query.from);
  const toMs = query.to === undefined ? undefined : Date.parse(query.to);
  requireOrder(fromMs, toMs);
  return {
    tenant: chainOf(query.chain, context),
    fromMs,
    toMs,
    category: query.category,
    action: query.action,
    outcome: query.outcome,
    principal: query.principal,
    keyId: query.key_id,
    target: query.target,
    runId: query.run_id,
    traceId: query.trace_id,
  };
}

function chainOf(wanted: z.output<typeof chain>, { caller, tenant }: AdminContext): string {
  if (wanted === 'organisation') return tenant;
  if (!caller.isAdmin) throw absent('chain');
  return installationTenant;
}

function listCheckpoints({ sql }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/audit/checkpoints',
    operation: 'audit.checkpoints',
    summary: 'Signed ends of the chain. Kept elsewhere they prove later that nothing was cut off.',
    roles: readers,
    query: z.object({ ...pageQuery, chain }),
    answer: pageOf(z.object({ seq: z.int(), at: moment, token: z.string() })),
    handle: ({ query }, context) =>
      readPage(context, query, {
        read: ({ after, limit }) =>
          sql.db
            .selectFrom('audit_checkpoints')
            .select(['seq', 'at_ms', 'token'])
            .where('tenant', '=', chainOf(query.chain, context))
            .where('seq', '>', Number(after ?? 0))
            .orderBy('seq')
            .limit(limit)
            .execute(),
        positionOf: row => String(row.seq),
        show: row => ({ seq: row.seq, at: showMoment(row.at_ms), token: row.token }),
      }),
  });
}
