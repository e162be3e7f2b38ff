import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Transaction } from 'kysely';
import { createAuditKeys } from './audit/audit-keys.ts';
import { recordBeside } from './audit/record-beside.ts';
import { systemClock } from './clock.ts';
import { loadConfig } from './config/load.ts';
import { rootSchema, type SharedConfig } from './config/root-schema.ts';
import { pepperOf } from './gateway-deps.ts';
import { createKeyStore, type KeyStore, type VirtualKey } from './identity/key-store.ts';
import type { ChangeOptions } from './identity/tree-store.ts';
import { openSqlStore } from './stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from './stores/shared-schema.ts';
import type { SqlStore } from './stores/sql.ts';

/** The shared sections of the configuration in force. @throws ConfigError */
export function loadSharedConfig(): SharedConfig {
  const path = process.env.STRATA_CONFIG ?? 'strata.yaml';
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return loadConfig(rootSchema({}), { source: basename(path), text }, { env: process.env });
}

/** Makes the audit entry of a change of a key, for the store to enter it in the same transaction. */
export type Audited = (action: string) => ChangeOptions<VirtualKey>;

/** For programs beside the gateways: opens the store that the configuration names, hands its keys to `work`, and closes it. */
export function withKeyStore<T>(
  config: SharedConfig,
  work: (keys: KeyStore, audited: Audited) => Promise<T>,
): Promise<T> {
  const pepper = pepperOf(config, join(resolve(config.data_dir), 'secrets'));
  const clock = systemClock;
  const enter = recordBeside({ keys: createAuditKeys(pepper), clock, program: 'strata' });
  const audited: Audited = action => ({
    record: (transaction, { tenant, id, principal, prefix }) =>
      // The store of keys sees its own tables; all of them are in one database.
      enter(transaction as object as Transaction<SharedSchema>, {
        tenant,
        category: 'admin',
        action,
        outcome: 'succeeded',
        target: { type: 'key', id },
        details: { principal, prefix },
      }),
  });
  return withSqlStore(config, sql => work(createKeyStore({ sql, pepper, clock }), audited));
}

/** The same for the whole store. */
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
