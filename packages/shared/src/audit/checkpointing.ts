import type { Clock, Scheduled } from '../clock.ts';
import type { EnvelopeKeys } from '../identity/envelope-keys.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AuditSchema } from './audit-schema.ts';
import type { AuditSection } from './audit-section.ts';
import { writeCheckpoint } from './checkpoints.ts';

export interface Checkpointing {
  /** Told after entries were appended; of a transaction that is then rolled back, too. */
  grown(tenant: string, entries: number): void;
  /** Signs the chains that grew since they were signed last. */
  close(): Promise<void>;
}

/** Signs a chain when it grew by so many entries, and every chain that grew at all after some time. */
export function createCheckpointing(deps: {
  readonly sql: SqlStore<AuditSchema>;
  readonly signing: EnvelopeKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: AuditSection;
}): Checkpointing {
  const { sql, signing, clock, log, config } = deps;
  const unsigned = new Map<string, number>();
  let timer: Scheduled | undefined;
  let work: Promise<void> = Promise.resolve();

  function signSoon(tenants: readonly string[]): Promise<void> {
    work = work.then(() => signAll(tenants));
    return work;
  }

  function signGrown(): Promise<void> {
    const tenants = [...unsigned.keys()];
    unsigned.clear();
    return signSoon(tenants);
  }

  async function signAll(tenants: readonly string[]): Promise<void> {
    for (const tenant of tenants) {
      try {
        const checkpoint = await writeCheckpoint({ db: sql.db, keys: signing, clock }, tenant);
        // The log of the process usually leaves the machine: what is in it cannot be cut off together with the table.
        if (checkpoint !== undefined) log.info({ checkpoint }, 'audit checkpoint');
      } catch (error) {
        log.error({ error, tenant }, 'an audit chain could not be signed; it is tried again');
        unsigned.set(tenant, unsigned.get(tenant) ?? 0);
        wake();
      }
    }
  }

  function wake(): void {
    timer ??= clock.schedule(config.checkpoint_ms, () => {
      timer = undefined;
      void signGrown();
    });
  }

  return {
    grown(tenant, entries) {
      const total = (unsigned.get(tenant) ?? 0) + entries;
      const isDue = total >= config.checkpoint_every;
      unsigned.set(tenant, isDue ? 0 : total);
      wake(); // also after signing at once: the last entry may belong to a transaction that is not committed yet
      if (isDue) void signSoon([tenant]);
    },
    async close() {
      timer?.cancel();
      await signGrown();
      timer?.cancel();
    },
  };
}
