import type { RunSummary, StoredWorkflow } from '../domain/journal.ts';
import type { RunStatus } from '../domain/run-state.ts';

/** Rows as both journals have them: the same columns, integers as whatever the driver gives. */
export type Row = Readonly<Record<string, unknown>>;

export function toWorkflow(row: Row): StoredWorkflow {
  return {
    namespace: String(row.namespace),
    name: String(row.name),
    version: String(row.version),
    definition: String(row.definition),
    createdAtMs: Number(row.created_at_ms),
  };
}

export function toSummary(row: Row): RunSummary {
  return {
    id: String(row.id),
    tenant: String(row.tenant),
    principal: String(row.principal),
    definition: String(row.definition),
    namespace: String(row.namespace),
    name: String(row.name),
    version: String(row.version),
    status: row.status as RunStatus, // written from the fold
    position: Number(row.position),
    createdAtMs: Number(row.created_at_ms),
    updatedAtMs: Number(row.updated_at_ms),
    endedAtMs: row.ended_at_ms === null ? undefined : Number(row.ended_at_ms),
    wakeAtMs: row.lease_owner === null && row.wake_at_ms !== null ? Number(row.wake_at_ms) : undefined,
    costNanoUsd: BigInt(String(row.cost_nano_usd)),
    unpricedCalls: Number(row.unpriced_calls),
    inputTokens: Number(row.input_tokens),
    outputTokens: Number(row.output_tokens),
    traceId: String(row.trace_id),
    idempotencyKey: row.idempotency_key === null ? undefined : String(row.idempotency_key),
    requestDigest: String(row.request_digest),
    priority: Number(row.priority),
    queue: row.queue === null ? undefined : String(row.queue),
    isQueued: row.slot === 'waiting',
  };
}
