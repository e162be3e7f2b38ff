import type { AuditLog } from '@strata/shared/audit/audit-log.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Approval, ApprovalDecision, ApprovalQuestion, Approvals } from '../domain/approval.ts';
import type { ApprovalSchema } from './approval-schema.ts';

type Row = ApprovalSchema['approvals'];

/** Approvals in the store that the gateways share, each decision with its audit entry. */
export function createApprovals({
  sql,
  audit,
}: {
  sql: SqlStore<ApprovalSchema>;
  audit: AuditLog;
}): Approvals {
  const { db } = sql;
  const pending = (id: string) =>
    db.updateTable('approvals').where('id', '=', id).where('status', '=', 'pending');

  return {
    async ask(approval) {
      await db
        .insertInto('approvals')
        .values(toRow(approval))
        .onConflict(conflict =>
          // Its run was imported here under another id: it is told what was decided meanwhile.
          conflict.column('id').doUpdateSet({ run_id: approval.runId, delivered: 0 }),
        )
        .execute();
    },
    async get(tenant, id) {
      const row = await db
        .selectFrom('approvals')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      return row && fromRow(row);
    },
    async list({ tenant, status, after = '', limit }) {
      const rows = await db
        .selectFrom('approvals')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('status', '=', status)
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
    async escalate(id, to) {
      const row = await db
        .selectFrom('approvals')
        .select('assignees')
        .where('id', '=', id)
        .executeTakeFirst();
      if (row === undefined) return;
      const assignees = JSON.stringify([...new Set([...(JSON.parse(row.assignees) as string[]), ...to])]); // by `toRow`
      await pending(id).set({ assignees }).execute();
    },
    async end(id, status) {
      await pending(id).set({ status }).execute();
      const row = await db.selectFrom('approvals').select('status').where('id', '=', id).executeTakeFirst();
      return row?.status ?? status;
    },
    decide(approval, decision, caller) {
      return db.transaction().execute(async transaction => {
        const { numUpdatedRows } = await transaction
          .updateTable('approvals')
          .set({
            status: decision.decision,
            decision: JSON.stringify(decision),
            decided_at_ms: decision.atMs,
          })
          .where('id', '=', approval.id)
          .where('status', '=', 'pending')
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return false;
        await audit.appendIn(transaction, {
          tenant: approval.tenant,
          category: 'approval',
          action: `approval.${decision.decision}`,
          outcome: 'succeeded',
          principal: caller.principal,
          keyId: caller.keyId,
          target: { type: 'approval', id: approval.id },
          runId: approval.runId,
          taskId: approval.taskPath,
          details: { digest: approval.digest, title: approval.title },
        });
        return true;
      });
    },
    async delivered(id) {
      await db.updateTable('approvals').set({ delivered: 1 }).where('id', '=', id).execute();
    },
    async over({ beforeMs, after, limit }) {
      const rows = await db
        .selectFrom('approvals')
        .select(['id', 'tenant', 'run_id'])
        .where('id', '>', after)
        .where(either =>
          either.or([either('status', '<>', 'pending'), either('deadline_at_ms', '<', beforeMs)]),
        )
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(({ id, tenant, run_id: runId }) => ({ id, tenant, runId }));
    },
    async remove(ids) {
      if (ids.length > 0) await db.deleteFrom('approvals').where('id', 'in', ids).execute();
    },
    async undelivered(olderThanMs) {
      const rows = await db
        .selectFrom('approvals')
        .selectAll()
        .where('delivered', '=', 0)
        .where('decided_at_ms', 'is not', null)
        .where('decided_at_ms', '<', olderThanMs)
        .limit(100)
        .execute();
      return rows.map(fromRow);
    },
  };
}

function toRow(approval: Omit<Approval, 'status' | 'decision'>): Row {
  const { title, description, content, form } = approval;
  return {
    id: approval.id,
    tenant: approval.tenant,
    run_id: approval.runId,
    task_path: approval.taskPath,
    workflow: approval.workflow,
    status: 'pending',
    question: JSON.stringify({ title, description, content: content ?? null, form: form ?? null }),
    digest: approval.digest,
    assignees: JSON.stringify(approval.assignees),
    created_at_ms: approval.createdAtMs,
    deadline_at_ms: approval.deadlineAtMs,
    decision: null,
    decided_at_ms: null,
    delivered: 0,
  };
}

function fromRow(row: Row): Approval {
  const question = JSON.parse(row.question) as Pick<
    ApprovalQuestion,
    'title' | 'description' | 'content' | 'form'
  >; // by `toRow`
  return {
    ...question,
    id: row.id,
    tenant: row.tenant,
    runId: row.run_id,
    taskPath: row.task_path,
    workflow: row.workflow,
    status: row.status,
    digest: row.digest,
    assignees: JSON.parse(row.assignees) as string[], // by `toRow`
    createdAtMs: Number(row.created_at_ms),
    deadlineAtMs: Number(row.deadline_at_ms),
    decision: row.decision === null ? undefined : (JSON.parse(row.decision) as ApprovalDecision), // by `decide`
  };
}
