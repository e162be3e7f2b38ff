import * as z from 'zod';

/** The section `ledger` of the configuration. */
export const ledgerSection = z
  .strictObject({
    flush_ms: z
      .int()
      .min(1)
      .max(10_000)
      .default(200)
      .describe(
        'How long usage may wait to be stored together with more. What a process that is killed has not stored is at most this old.',
      ),
    max_pending: z
      .int()
      .min(100)
      .max(1_000_000)
      .default(50_000)
      .describe(
        'Usage kept in memory while the store does not answer. When it is full, requests that would cost something are refused.',
      ),
  })
  .prefault({})
  .describe('The record of what every attempt used and cost.');

export type LedgerSection = z.output<typeof ledgerSection>;
