import type { LedgerEntry } from '@strata/shared/money/usage-entry.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { UsageRecord, UsageSink } from '../domain/usage-record.ts';

/** Books every attempt in the ledger. */
export function createUsageEntries(ledger: UsageLedger): UsageSink {
  return {
    record: record => ledger.record(entryOf(record)),
  };
}

/** Written out: a spread without some members costs more than the rest of booking an entry. */
function entryOf(record: UsageRecord): LedgerEntry {
  return {
    id: record.attemptId,
    atMs: record.startedAtMs,
    durationMs: record.durationMs,
    gateway: 'ai-gateway',
    tenant: record.tenant,
    team: record.team,
    project: record.project,
    principal: record.principal,
    keyId: record.keyId,
    tags: record.tags,
    runId: record.runId,
    taskId: record.taskId,
    agent: record.agent,
    alias: record.alias,
    provider: record.provider,
    model: record.model,
    serviceTier: record.serviceTier,
    outcome: record.outcome,
    usage: record.usage,
    usageSource: record.usageSource,
    costNanoUsd: record.costNanoUsd,
    priceVersion: record.priceVersion,
    charges: record.charges,
  };
}
