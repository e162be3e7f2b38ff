import { join, resolve } from 'node:path';
import type { Transaction } from 'kysely';
import type { ChangedTarget } from './admin/admin-route.ts';
import { createAuditKeys } from './audit/audit-keys.ts';
import type { AuditEvent } from './audit/audit-record.ts';
import { recordBeside } from './audit/record-beside.ts';
import { systemClock } from './clock.ts';
import { loadConfig } from './config/load.ts';
import { readConfigFile } from './config/read-config-file.ts';
import { rootSchema, type SharedConfig } from './config/root-schema.ts';
import { pepperOf } from './gateway-deps.ts';
import { createKeyStore, type KeyStore, type VirtualKey } from './identity/key-store.ts';
import type { ChangeOptions } from './identity/tree-store.ts';
import type { Secret } from './secret.ts';
import { openSqlStore } from './stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from './stores/shared-schema.ts';
import type { SqlStore } from './stores/sql.ts';

/** The shared sections of the configuration in force. @throws ConfigError */
export function loadSharedConfig(): SharedConfig {
  return loadConfig(rootSchema({}), readConfigFile(process.env), { env: process.env });
}

/** Makes the audit entry of a change, for the store to enter it in the same transaction. */
export type Audited = <Changed extends { readonly tenant: string }>(
  action: string,
  describe: (changed: Changed) => ChangedTarget & Pick<AuditEvent, 'details'>,
) => { readonly record: (transaction: object, changed: Changed) => Promise<void> };

/** The same for a change of a key. */
export type AuditedKey = (action: string) => ChangeOptions<VirtualKey>;

/** For programs beside the gateways that change what the store holds. Opens it, hands it to `work`, and closes it. */
export function withAuditedStore<T>(
  config: SharedConfig,
  work: (sql: SqlStore<SharedSchema>, audited: Audited, pepper: Secret) => Promise<T>,
): Promise<T> {
  const pepper = pepperOf(config, join(resolve(config.data_dir), 'secrets'));
  const enter = recordBeside({ keys: createAuditKeys(pepper), clock: systemClock, program: 'strata' });
  const audited: Audited = (action, describe) => ({
    record(transaction, changed) {
      const { type, id, details } = describe(changed);
      // A store sees its own tables; all of them are in one database.
      return enter(transaction as Transaction<SharedSchema>, {
        tenant: changed.tenant,
        category: 'admin',
        action,
        outcome: 'succeeded',
        target: { type, id },
        details,
      });
    },
  });
  return withSqlStore(config, sql => work(sql, audited, pepper));
}

/** The same for the keys in it. */
export function withKeyStore<T>(
  config: SharedConfig,
  work: (keys: KeyStore, audited: AuditedKey, sql: SqlStore<SharedSchema>) => Promise<T>,
): Promise<T> {
  return withAuditedStore(config, (sql, audited, pepper) =>
    work(
      createKeyStore({ sql, pepper, clock: systemClock }),
      action =>
        audited<VirtualKey>(action, ({ id, principal, prefix }) => ({
          type: 'key',
          id,
          details: { principal, prefix },
        })),
      sql,
    ),
  );
}

/** For programs that only read. */
export async function withSqlStore<T>(
  config: SharedConfig,
  work: (sql: SqlStore<SharedSchema>) => Promise<T>,
): Promise<T> {
  const dataDir = resolve(config.data_dir);
  const sql = await openSqlStore<SharedSchema>({
    url: config.store.url ?? `file:${join(dataDir, 'strata.sqlite')}`,
    config: config.store,
    migrations: sharedMigrations,
    clock: systemClock,
  });
  try {
    return await work(sql);
  } finally {
    await sql.close();
  }
}
