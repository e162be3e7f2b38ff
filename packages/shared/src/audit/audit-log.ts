import type { Transaction } from 'kysely';
import type { Clock, Scheduled } from '../clock.ts';
import type { EnvelopeKeys } from '../identity/envelope-keys.ts';
import { newId } from '../ids.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import { appendEvents } from './append.ts';
import type { AuditKeys } from './audit-keys.ts';
import { type AuditEvent, type DatedEvent, installationTenant } from './audit-record.ts';
import type { AuditSchema } from './audit-schema.ts';
import type { AuditSection } from './audit-section.ts';
import { createCheckpointing } from './checkpointing.ts';

/**
 * The log of who did what. What is transactional is entered in the transaction that it records: both happen or neither (I18). The
 * rest is entered in groups, in order, off the path of the request. While the store does not answer such entries wait; when too many
 * wait they are counted instead, and the log says how many once the store is back.
 */
export interface AuditLog {
  /** Call it last: until the transaction ends nobody else can append for the tenant. */
  appendIn(transaction: Transaction<AuditSchema>, event: AuditEvent): Promise<void>;
  /** Never blocks, never throws. */
  record(event: AuditEvent): void;
  /** Resolves when all that was recorded before is stored. Rejects with the store's error when it cannot be now; it stays pending. */
  flush(): Promise<void>;
  /** Entries that wait to be stored. */
  readonly pending: number;
  /** Entries that were counted because too many waited. */
  readonly dropped: number;
  /** Stores what is pending, trying for some seconds, and signs the chains that grew. */
  close(): Promise<void>;
}

export interface AuditLogDeps {
  readonly sql: SqlStore<AuditSchema>;
  readonly keys: AuditKeys;
  readonly signing: EnvelopeKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly gateway: string;
  readonly config: AuditSection;
}

const maxBatch = 2000;
const retryMs = 500;
const closeTries = 10;

export function createAuditLog(deps: AuditLogDeps): AuditLog {
  const { sql, keys, clock, log, gateway, config } = deps;
  const checkpoints = createCheckpointing(deps);
  let pending: DatedEvent[] = [];
  let recorded = 0;
  let stored = 0;
  let dropped = 0;
  let unsaid = 0;
  let timer: Scheduled | undefined;
  let writing: Promise<void> | undefined;
  let isFailing = false;

  const dated = (event: AuditEvent): DatedEvent => {
    const atMs = clock.now();
    return { id: newId('aud', atMs), atMs, gateway, event };
  };

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

  /** What waits at this moment; what is recorded meanwhile is left to a group of its own. */
  async function writeAll(): Promise<void> {
    let until = recorded;
    try {
      while (stored < until) {
        const due = pending.slice(0, until - stored);
        const first = due[0]?.event.tenant ?? '';
        const events: DatedEvent[] = [];
        const left: DatedEvent[] = [];
        for (const each of due)
          (each.event.tenant === first && events.length < maxBatch ? events : left).push(each);
        await sql.db
          .transaction()
          .execute(transaction =>
            appendEvents(transaction, keys, { tenant: first, events, mayBeStored: isFailing }),
          );
        pending = [...left, ...pending.slice(due.length)]; // what came meanwhile stands behind
        stored += events.length;
        checkpoints.grown(first, events.length);
        isFailing = false;
        if (unsaid === 0) continue;
        sayWhatWasDropped();
        until = recorded;
      }
      if (pending.length > 0) writeSoon(config.flush_ms); // their timer may have met this write
    } catch (error) {
      if (!isFailing)
        log.error({ error, pending: pending.length }, 'audit entries could not be stored and wait');
      isFailing = true;
      throw error;
    }
  }

  function sayWhatWasDropped(): void {
    const details = { entries: unsaid };
    unsaid = 0;
    add({ tenant: installationTenant, category: 'log', action: 'log.dropped', outcome: 'failed', details });
  }

  function add(event: AuditEvent): void {
    pending.push(dated(event));
    recorded++;
  }

  return {
    async appendIn(transaction, event) {
      const { tenant } = event;
      await appendEvents(transaction, keys, { tenant, events: [dated(event)], mayBeStored: false });
      checkpoints.grown(tenant, 1);
    },
    record(event) {
      if (pending.length >= config.max_pending) {
        dropped++;
        unsaid++;
        return;
      }
      add(event);
      writeSoon(config.flush_ms);
    },
    async flush() {
      const until = recorded;
      while (stored < until) await write();
    },
    get pending() {
      return pending.length;
    },
    get dropped() {
      return dropped;
    },
    async close() {
      for (let tries = 1; pending.length > 0 && tries <= closeTries; tries++) {
        await write().catch(() => (tries < closeTries ? clock.sleep(retryMs) : undefined));
      }
      timer?.cancel();
      for (const entry of pending)
        log.error({ entry: withoutSensitive(entry) }, 'an audit entry was not stored before the stop');
      await checkpoints.close();
    },
  };
}

function withoutSensitive({ event, ...rest }: DatedEvent) {
  return { ...rest, event: { ...event, sensitive: undefined } };
}
