import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { GatewayName } from '../identity/envelope.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MoneySchema } from './money-schema.ts';
import type { LedgerSection } from './money-section.ts';
import type { Usage } from './usage.ts';

/** What one attempt at an upstream used and cost. */
export interface LedgerEntry {
  /** Of the attempt: an entry that is recorded twice is stored once. */
  readonly id: string;
  /** When the attempt began, wall clock. */
  readonly atMs: number;
  readonly durationMs: number;
  readonly gateway: GatewayName;
  readonly tenant: string;
  readonly principal: string;
  readonly keyId: string | undefined;
  readonly runId: string | undefined;
  readonly taskId: string | undefined;
  /** The name the caller asked for. */
  readonly alias: string;
  readonly provider: string;
  readonly model: string;
  readonly outcome: string;
  readonly usage: Usage | undefined;
  readonly usageSource: string;
  /** Undefined when the usage or a price is not known ($-2). */
  readonly costNanoUsd: bigint | undefined;
  readonly priceVersion: string | undefined;
}

/**
 * The append-only record of usage: one entry an attempt. Entries are stored in groups, off the path of the request; while the store
 * does not answer they wait, and when too many wait, `requireRoom` refuses new work, so that nothing is dispatched that could not be
 * booked. A clean stop stores everything; a kill loses at most what is younger than `flush_ms`.
 */
export interface UsageLedger {
  /** Never blocks, never throws. */
  record(entry: LedgerEntry): void;
  /** Asked before work that will be recorded. @throws GatewayError overloaded (`ledger_full`). */
  requireRoom(): void;
  /** Resolves when all that was recorded before is stored. Rejects with the store's error when it cannot be now; it stays pending. */
  flush(): Promise<void>;
  /** Entries that wait to be stored. */
  readonly pending: number;
  /** Stores what is pending, trying for some seconds. What could not be stored is logged, entry by entry. */
  close(): Promise<void>;
}

/** 22 columns a row: well below the 32,766 parameters that SQLite takes. */
const maxBatch = 500;
const retryMs = 500;
const closeTries = 10;

export function createUsageLedger(deps: {
  sql: SqlStore<MoneySchema>;
  clock: Clock;
  log: Logger;
  config: LedgerSection;
}): UsageLedger {
  const { sql, clock, log, config } = deps;
  const pending: LedgerEntry[] = [];
  let timer: Scheduled | undefined;
  let writing: Promise<void> | undefined;
  let isFailing = false;

  const writeSoon = (ms: number) => {
    timer ??= clock.schedule(ms, () => {
      timer = undefined;
      void write().catch(() => writeSoon(retryMs)); // logged below, once for each time the store is away
    });
  };

  /** One writer at a time: who comes later waits for the same end. */
  function write(): Promise<void> {
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
    return writing;
  }

  async function writeAll(): Promise<void> {
    try {
      while (pending.length > 0) {
        const batch = pending.slice(0, maxBatch);
        // An entry that an earlier, doubtful commit has stored is there already.
        await sql.db
          .insertInto('usage_ledger')
          .values(batch.map(toRow))
          .onConflict(conflict => conflict.column('id').doNothing())
          .execute();
        pending.splice(0, batch.length);
        isFailing = false;
      }
    } catch (error) {
      if (!isFailing) log.error({ error, pending: pending.length }, 'usage could not be stored and waits');
      isFailing = true;
      throw error;
    }
  }

  return {
    record(entry) {
      pending.push(entry);
      writeSoon(config.flush_ms);
    },
    requireRoom() {
      if (pending.length < config.max_pending) return;
      throw new GatewayError('overloaded', 'Usage cannot be stored at the moment, so nothing new is begun.', {
        reason: 'ledger_full',
        retryAfterMs: 1000,
      });
    },
    flush: write,
    get pending() {
      return pending.length;
    },
    async close() {
      for (let tries = 1; pending.length > 0 && tries <= closeTries; tries++) {
        await write().catch(() => (tries < closeTries ? clock.sleep(retryMs) : undefined));
      }
      timer?.cancel();
      for (const entry of pending) {
        log.error(
          { ...entry, costNanoUsd: entry.costNanoUsd?.toString() },
          'usage was not stored before the stop',
        );
      }
    },
  };
}

function toRow(entry: LedgerEntry): MoneySchema['usage_ledger'] {
  const { usage } = entry;
  return {
    id: entry.id,
    at_ms: entry.atMs,
    duration_ms: Math.round(entry.durationMs),
    gateway: entry.gateway,
    tenant: entry.tenant,
    principal: entry.principal,
    key_id: entry.keyId ?? null,
    run_id: entry.runId ?? null,
    task_id: entry.taskId ?? null,
    alias: entry.alias,
    provider: entry.provider,
    model: entry.model,
    outcome: entry.outcome,
    usage_source: entry.usageSource,
    input: usage?.input ?? null,
    cache_read: usage?.cacheRead ?? null,
    cache_write: usage?.cacheWrite ?? null,
    cache_write_1h: usage?.cacheWrite1h ?? null,
    output: usage?.output ?? null,
    reasoning: usage?.reasoning ?? null,
    cost_nano_usd: entry.costNanoUsd ?? null,
    price_version: entry.priceVersion ?? null,
  };
}
