import type { AuditLog } from '@strata/shared/audit/audit-log.ts';
import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import type { FastifyRequest } from 'fastify';

/** Something that a caller changed: a run, a workflow, a schedule, a queue. */
export interface Change extends Pick<AuditEvent, 'details'> {
  /** Noun and verb: `run.cancel`. */
  readonly action: string;
  /** What was changed. */
  readonly id: string;
  readonly runId?: string;
}

/** Enters a change that happened; the answer to whoever asked for it comes after. */
export type RecordChange = (request: FastifyRequest, change: Change) => Promise<void>;

/**
 * For what is kept in the journal, which is another database than the audit: its own records name who asked too. What is in the same
 * database is entered in its transaction instead (I18).
 */
export function createRecordChange(audit: Pick<AuditLog, 'record' | 'flush'>): RecordChange {
  return async (request, change) => {
    audit.record(changeEntry(request, change));
    await audit.flush().catch(() => {}); // logged by the audit, which keeps the entry until the store is back
  };
}

export function changeEntry(request: FastifyRequest, { action, id, runId, details }: Change): AuditEvent {
  const { caller } = request;
  const [type = action] = action.split('.', 1);
  return {
    tenant: caller.tenant,
    category: 'admin',
    action,
    outcome: 'succeeded',
    principal: caller.principal,
    keyId: caller.keyId,
    actors: caller.envelope?.actors,
    target: { type, id },
    runId,
    traceId: request.traceContext.traceId,
    requestId: request.id,
    details,
    sensitive: { address: request.ip },
  };
}
