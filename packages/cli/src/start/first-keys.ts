import { join, resolve } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import type { SharedConfig } from '@strata/shared/config/root-schema.ts';
import { pepperOf } from '@strata/shared/gateway-deps.ts';
import { createKeyStore, type KeyStore } from '@strata/shared/identity/key-store.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import type { Secret } from '@strata/shared/secret.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from '@strata/shared/stores/shared-schema.ts';

/** Opens the store that the configuration names, hands the keys in it to `work`, and closes it. */
export async function withKeyStore<T>(
  config: SharedConfig,
  work: (keys: KeyStore) => Promise<T>,
): Promise<T> {
  const dataDir = resolve(config.data_dir);
  const sql = await openSqlStore<SharedSchema>({
    url: config.store.url ?? `file:${join(dataDir, 'strata.sqlite')}`,
    config: config.store,
    migrations: sharedMigrations,
    clock: systemClock,
  });
  try {
    return await work(
      createKeyStore({ sql, pepper: pepperOf(config, join(dataDir, 'secrets')), clock: systemClock }),
    );
  } finally {
    await sql.close();
  }
}

export interface FirstKeys {
  readonly admin: Secret;
  readonly demo: Secret;
}

/** Makes the admin key and the demo key if there is no key at all yet. They are stored hashed and returned this once. */
export function createFirstKeys(config: SharedConfig): Promise<FirstKeys | undefined> {
  return withKeyStore(config, async keys => {
    if (!(await keys.isEmpty())) return undefined;
    const admin = await keys.create({
      name: 'first admin',
      tenant: 'default',
      principal: 'admin',
      isAdmin: true,
      scopes: allScopes,
    });
    const demo = await keys.create({ name: 'demo', tenant: 'default', principal: 'demo', scopes: allScopes });
    return { admin: admin.secret, demo: demo.secret };
  });
}
