import type { Transaction } from 'kysely';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { asyncFaultPoint } from '../fault-point.ts';
import { RowInsert } from '../stores/row-insert.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Charge } from './budget.ts';
import type { ChargeOutcome } from './budget-store.ts';
import type { MoneySchema } from './money-schema.ts';
import type { LedgerSection } from './money-section.ts';
import type { SqlBudgetStore } from './sql-budget-store.ts';
import { type LedgerEntry, storableEntries, toLedgerRow } from './usage-entry.ts';
import { addToRollups } from './usage-rollups.ts';

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

/** What the ledger tells about what it booked. */
export interface ChargeListener {
  charged(charges: readonly Charge[], outcome: ChargeOutcome): void;
}

const maxBatch = 2000;
const retryMs = 500;
const closeTries = 10;

export function createUsageLedger(deps: {
  sql: SqlStore<MoneySchema>;
  clock: Clock;
  log: Logger;
  config: LedgerSection;
  /** Who bears the costs: charged in the transaction that stores the entries, so that budgets and ledger always agree ($-3). */
  budgets?: { readonly store: SqlBudgetStore; readonly listener: ChargeListener };
}): UsageLedger {
  const { sql, clock, log, config, budgets } = deps;
  const pending: LedgerEntry[] = [];
  let timer: Scheduled | undefined;
  let writing: Promise<void> | undefined;
  let isFailing = false;
  let recorded = 0;
  let stored = 0;

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

  /** That all entries are new is what nearly always holds; to ask each of them would cost as much as to store it. */
  async function store(batch: readonly LedgerEntry[]) {
    try {
      return await storeWith(batch, insertAll);
    } catch (error) {
      if (error instanceof SomeAreStored) return storeWith(batch, insertNew);
      throw error;
    }
  }

  function storeWith(batch: readonly LedgerEntry[], insert: Insert) {
    return sql.db.transaction().execute(async transaction => {
      const fresh = await insert(transaction, batch);
      await addToRollups(transaction, fresh);
      const charges = fresh.flatMap(entry => entry.charges ?? []);
      const outcome = (await budgets?.store.chargeWithin(transaction, charges)) ?? nothingCharged;
      await asyncFaultPoint('ledger.before-commit');
      return { charges: batch.flatMap(entry => entry.charges ?? []), outcome };
    });
  }

  /** What waits at this moment; what is recorded meanwhile has a timer of its own. */
  async function writeAll(): Promise<void> {
    const until = recorded;
    try {
      while (stored < until) {
        const batch = storableEntries(pending.slice(0, Math.min(maxBatch, until - stored)));
        const { charges, outcome } = await store(batch);
        pending.splice(0, batch.length);
        stored += batch.length;
        budgets?.listener.charged(charges, outcome);
        isFailing = false;
      }
      if (pending.length > 0) writeSoon(config.flush_ms); // their timer may have met this write
    } catch (error) {
      if (!isFailing) log.error({ error, pending: pending.length }, 'usage could not be stored and waits');
      isFailing = true;
      throw error;
    }
  }

  return {
    record(entry) {
      pending.push(entry);
      recorded++;
      writeSoon(config.flush_ms);
    },
    requireRoom() {
      if (pending.length < config.max_pending) return;
      throw new GatewayError('overloaded', 'Usage cannot be stored at the moment, so nothing new is begun.', {
        reason: 'ledger_full',
        retryAfterMs: 1000,
      });
    },
    async flush() {
      const until = recorded;
      while (stored < until) await write();
    },
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

/** Returns the entries that were not there before. */
type Insert = (
  transaction: Transaction<MoneySchema>,
  batch: readonly LedgerEntry[],
) => Promise<readonly LedgerEntry[]>;

/** Nothing may be kept of a transaction that met an entry which is there already. */
class SomeAreStored extends Error {
  override readonly name = 'SomeAreStored';
}

/** @throws SomeAreStored */
const insertAll: Insert = async (transaction, batch) => {
  const { affected } = await allRows.execute(transaction, batch.map(toLedgerRow));
  if (affected !== batch.length) throw new SomeAreStored();
  return batch;
};

/** An entry that an earlier, doubtful commit has stored is there already, with its sums and its charges. */
const insertNew: Insert = async (transaction, batch) => {
  const { returned } = await newRows.execute(transaction, batch.map(toLedgerRow));
  const ids = new Set(returned.map(row => row.id));
  return batch.filter(entry => ids.delete(entry.id)); // once, if it was recorded twice
};

type LedgerRow = MoneySchema['usage_ledger'];

const allRows = new RowInsert<MoneySchema, LedgerRow>(insertionOf);
const newRows = new RowInsert<MoneySchema, LedgerRow, { id: string }>((transaction, rows) =>
  insertionOf(transaction, rows).returning('id'),
);

function insertionOf(transaction: Transaction<MoneySchema>, rows: readonly LedgerRow[]) {
  return transaction
    .insertInto('usage_ledger')
    .values(rows)
    .onConflict(conflict => conflict.column('id').doNothing());
}

const nothingCharged: ChargeOutcome = { alerts: [], overdrawnNanoUsd: 0n };
