import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { type Approval, type ApprovalStatus, isAssigned } from '../domain/approval.ts';
import { type ApprovalDeps, approvalNotFound, decideApproval } from '../pipeline/decide-approval.ts';
import { checkFields, readFields } from './read-body.ts';

const caller = { access: 'caller' } as const;

interface WithId {
  Params: { id: string };
}

export const approvalListQuery = z.strictObject({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  status: z.enum(['pending', 'approved', 'rejected', 'expired', 'void']).default('pending'),
});

export const decideBody = z.strictObject({
  decision: z.enum(['approved', 'rejected']),
  /** Of the approval that was read. */
  digest: z.string().min(1),
  comment: z.string().max(4000).optional(),
  data: z.unknown().optional(),
});

const decideVerb = ':decide';

/** `/v1/approvals`: the inbox of those who are asked, and `:decide`. */
export function addApprovalRoutes(app: FastifyInstance, deps: ApprovalDeps): void {
  const { approvals, standings } = deps;

  app.get('/v1/approvals', { config: caller }, async request => {
    const { tenant } = request.caller;
    const { cursor, limit, status } = checkFields(request.query, approvalListQuery);
    const page = await approvals.list({ tenant, status, after: cursor, limit });
    const last = page.length === limit ? page.at(-1) : undefined;
    const mine = page.filter(each => isAssigned(each, request.caller));
    const shown: ReturnType<typeof show>[] = [];
    // One after the other: it may take all the records of a run.
    for (const each of mine) {
      const standing = await standings.of(each);
      if (standing !== 'void' || status === 'void') shown.push(show(each, standing));
    }
    return {
      approvals: shown,
      ...(last !== undefined && { next_cursor: last.id }),
    };
  });

  app.get<WithId>('/v1/approvals/:id', { config: caller }, async request => {
    const approval = await approvals.get(request.caller.tenant, request.params.id);
    if (approval === undefined || !isAssigned(approval, request.caller)) throw approvalNotFound();
    return show(approval, await standings.of(approval));
  });

  app.post<WithId>('/v1/approvals/:id', { config: caller }, async request => {
    const { id } = request.params;
    if (!id.endsWith(decideVerb)) {
      throw new GatewayError('not_found', `The verb of an approval is '${decideVerb}'.`, {
        reason: 'unknown_route',
      });
    }
    const { comment = null, data = null, ...verdict } = readFields(request, decideBody);
    const decided = await decideApproval(
      { id: id.slice(0, -decideVerb.length), verdict: { ...verdict, comment, data }, caller: request.caller },
      deps,
    );
    return show(decided, decided.status);
  });
}

function show(approval: Approval, status: ApprovalStatus) {
  const { decision, deadlineAtMs } = approval;
  return {
    id: approval.id,
    status,
    title: approval.title,
    description: approval.description,
    content: approval.content,
    form: approval.form,
    digest: approval.digest,
    assignees: approval.assignees,
    run: approval.runId,
    task: approval.taskPath,
    workflow: approval.workflow,
    created_at: new Date(approval.createdAtMs).toISOString(),
    deadline: new Date(deadlineAtMs).toISOString(),
    ...(decision !== undefined && {
      decision: {
        decision: decision.decision,
        by: decision.by,
        at: new Date(decision.atMs).toISOString(),
        comment: decision.comment,
        data: decision.data,
      },
    }),
  };
}
