import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { UsageSink } from '../domain/usage-record.ts';

/** Books every attempt in the ledger. */
export function createUsageEntries(ledger: UsageLedger): UsageSink {
  return {
    record: ({ attemptId, startedAtMs, ...record }) =>
      ledger.record({ ...record, id: attemptId, atMs: startedAtMs, gateway: 'ai-gateway' }),
  };
}
