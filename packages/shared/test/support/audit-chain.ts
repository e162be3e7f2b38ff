import { createAuditKeys } from '@strata/shared/audit/audit-keys.ts';
import { type AuditLog, createAuditLog } from '@strata/shared/audit/audit-log.ts';
import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import { type AuditSchema, auditMigrations } from '@strata/shared/audit/audit-schema.ts';
import { auditSection } from '@strata/shared/audit/audit-section.ts';
import { writeCheckpoint } from '@strata/shared/audit/checkpoints.ts';
import { type ChainReport, type VerifyQuery, verifyChain } from '@strata/shared/audit/verify.ts';
import { type Clock, systemClock } from '@strata/shared/clock.ts';
import {
  type EnvelopeKeys,
  generateSigningKey,
  openEnvelopeKeys,
} from '@strata/shared/identity/envelope-keys.ts';
import { type IdentitySchema, identityMigrations } from '@strata/shared/identity/identity-schema.ts';
import { Secret } from '@strata/shared/secret.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { sql as rawSql } from 'kysely';
import pino from 'pino';

export const pepper = new Secret('a pepper of tests, longer than thirty-two characters');

/** A store with an audit log on it, as a gateway has it. */
export interface AuditBench {
  readonly store: SqlStore<AuditSchema & IdentitySchema>;
  readonly log: AuditLog;
  readonly signing: EnvelopeKeys;
  readonly lines: string[];
  verify(query: VerifyQuery): Promise<ChainReport>;
  /** Another log on the same store. */
  openLog(config?: object, store?: SqlStore<AuditSchema & IdentitySchema>): AuditLog;
  /** Stores what is pending and signs where the chain ends. */
  sign(): Promise<void>;
  close(): Promise<void>;
}

export async function openAuditBench(
  url: string,
  options: { readonly clock?: Clock; readonly config?: object } = {},
): Promise<AuditBench> {
  const clock = options.clock ?? systemClock;
  const store = await openSqlStore<AuditSchema & IdentitySchema>({
    url,
    config: storeSection.parse({ acquire_timeout_ms: 10_000, busy_timeout_ms: 30_000 }),
    migrations: [auditMigrations, identityMigrations],
    clock,
  });
  const keys = createAuditKeys(pepper);
  const signing = await openEnvelopeKeys({
    name: 'ai-gateway',
    signingKey: new Secret(generateSigningKey()),
    sql: store,
    clock,
  });
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: line => lines.push(line) });
  const openLog = (config: object = {}, sql: SqlStore<AuditSchema> = store) =>
    createAuditLog({
      sql,
      keys,
      signing,
      clock,
      log: logger,
      gateway: 'ai-gateway',
      config: auditSection.parse({ ...options.config, ...config }),
    });
  const log = openLog();
  return {
    store,
    log,
    signing,
    lines,
    openLog,
    verify: query => verifyChain({ db: store.db, keys, signing }, query),
    async sign() {
      await log.flush();
      await writeCheckpoint({ db: store.db, keys: signing, clock }, 'acme');
    },
    async close() {
      await log.close();
      await store.close();
    },
  };
}

let serial = 0;
export const toolCall = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  tenant: 'acme',
  category: 'tool_call',
  action: 'tool.call',
  outcome: 'succeeded',
  principal: 'user:ada',
  keyId: 'key_1',
  target: { type: 'tool', id: 'files__read' },
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  details: { number: ++serial, duration_ms: 12.5 },
  ...more,
});

/** What an intruder with all rights on the database does first. */
export async function allowChanges({ store }: AuditBench): Promise<void> {
  for (const table of ['audit_entries', 'audit_checkpoints']) {
    const triggers =
      store.dialect === 'sqlite'
        ? [`${table}_refuses_update`, `${table}_refuses_delete`].map(name => `drop trigger ${name}`)
        : [`drop function ${table}_is_append_only() cascade`];
    for (const statement of triggers) await rawSql.raw(statement).execute(store.db);
  }
}
