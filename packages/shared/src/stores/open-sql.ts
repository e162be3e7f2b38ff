import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { Secret } from '../secret.ts';
import { type MigrationSet, migrate } from './migrations.ts';
import { openPostgres } from './postgres.ts';
import type { OpenedDatabase, SqlStore } from './sql.ts';
import { openSqlite } from './sqlite.ts';
import type { StoreConfig } from './store-section.ts';

/** Changing tables that hold much takes long, and other starters wait for it. */
const migrationTimeoutMs = 10 * 60_000;

/**
 * Opens the database and brings its tables up to date. Processes that start together wait for one another.
 *
 * @throws GatewayError invalid_request (`store_url_invalid`), conflict (`store_newer`, `migration_changed`), overloaded
 * (`store_unavailable`, `store_access_denied`).
 */
export async function openSqlStore<Schema>(options: {
  /** `file:/path/strata.sqlite` or `postgres://user:password@host/database`. */
  url: Secret | string;
  config: StoreConfig;
  migrations: readonly MigrationSet[];
  clock: Clock;
}): Promise<SqlStore<Schema>> {
  const { config, migrations, clock } = options;
  const url = options.url instanceof Secret ? options.url.reveal() : options.url;
  await migrateOnce(url, config, migrations, clock);
  const { dialect, name, usage } = openDatabase(url, config);
  const db = new Kysely<Schema>({ dialect });
  const ping = async (signal?: AbortSignal) => {
    await db.selectNoFrom(({ lit }) => lit(1).as('one')).execute({ signal });
  };
  try {
    await ping();
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return { dialect: name, db, ping, usage, close: () => db.destroy() };
}

/** On a connection of its own, with time limits of its own. */
async function migrateOnce(
  url: string,
  config: StoreConfig,
  sets: readonly MigrationSet[],
  clock: Clock,
): Promise<void> {
  const { dialect, name } = openDatabase(url, {
    ...config,
    pool_size: 1,
    statement_timeout_ms: migrationTimeoutMs,
    busy_timeout_ms: migrationTimeoutMs,
  });
  const db = new Kysely<unknown>({ dialect });
  try {
    await migrate(db, name, sets, clock);
  } finally {
    await db.destroy();
  }
}

function openDatabase(url: string, config: StoreConfig): OpenedDatabase {
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url, config);
  const path = url.startsWith('file://') ? fileURLToPath(url) : url.replace(/^file:/, '');
  if (!url.startsWith('file:') || path === '' || path.startsWith(':')) {
    throw new GatewayError('invalid_request', '`store.url` must be `file:/path` or `postgres://…`.', {
      reason: 'store_url_invalid',
    });
  }
  mkdirSync(dirname(resolve(path)), { recursive: true });
  return openSqlite(resolve(path), config);
}
