import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { systemClock } from './clock.ts';
import { loadConfig } from './config/load.ts';
import { rootSchema, type SharedConfig } from './config/root-schema.ts';
import { pepperOf } from './gateway-deps.ts';
import { createKeyStore, type KeyStore } from './identity/key-store.ts';
import { openSqlStore } from './stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from './stores/shared-schema.ts';
import type { SqlStore } from './stores/sql.ts';

/** The shared sections of the configuration in force. @throws ConfigError */
export function loadSharedConfig(): SharedConfig {
  const path = process.env.STRATA_CONFIG ?? 'strata.yaml';
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return loadConfig(rootSchema({}), { source: basename(path), text }, { env: process.env });
}

/** For programs beside the gateways: opens the store that the configuration names, hands its keys to `work`, and closes it. */
export function withKeyStore<T>(config: SharedConfig, work: (keys: KeyStore) => Promise<T>): Promise<T> {
  const secrets = join(resolve(config.data_dir), 'secrets');
  return withSqlStore(config, sql =>
    work(createKeyStore({ sql, pepper: pepperOf(config, secrets), clock: systemClock })),
  );
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
