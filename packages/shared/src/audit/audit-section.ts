import * as z from 'zod';

/** The section `audit` of the configuration. */
export const auditSection = z
  .strictObject({
    flush_ms: z
      .int()
      .min(1)
      .max(10_000)
      .default(200)
      .describe(
        'How long entries that belong to no transaction (refusals, tool calls) may wait to be stored together. A process that is killed loses at most what is younger. At start.',
      ),
    max_pending: z
      .int()
      .min(100)
      .max(1_000_000)
      .default(20_000)
      .describe(
        'Such entries kept in memory while the store does not answer. Further ones are counted, and the count is entered when the store is back. At start.',
      ),
    checkpoint_every: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Entries of a tenant after which the end of its chain is signed. At start.'),
    checkpoint_ms: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(60_000)
      .describe('Time after which a chain that grew is signed. At start.'),
    refusals_per_minute: z
      .int()
      .min(1)
      .max(100_000)
      .default(600)
      .describe(
        'Refused calls that one process enters in a minute. Beyond, equal ones are added up to one entry with a count. At start.',
      ),
  })
  .prefault({})
  .describe('The log of who did what: hash-chained per tenant, signed, verified by `strata audit verify`.');

export type AuditSection = z.output<typeof auditSection>;
