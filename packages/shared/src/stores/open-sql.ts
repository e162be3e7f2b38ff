import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Kysely, sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { Secret } from '../secret.ts';
import { type MigrationSet, migrate } from './migrations.ts';
import { openPostgres } from './postgres.ts';
import type { OpenedDatabase, SqlStore } from './sql.ts';
import { openSqlite } from './sqlite.ts';
import type { StoreConfig } from './store-section.ts';

/**
 * Opens the database and brings its tables up to date. Processes that start together wait for one another.
 *
 * @throws GatewayError invalid_request (`store_url_invalid`), conflict (`store_newer`), overloaded (`store_unavailable`).
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
  const opened = openDatabase(url, config);
  const db = new Kysely<Schema>({ dialect: opened.dialect });
  try {
    await migrate(db as Kysely<unknown>, opened.name, migrations, clock);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return {
    dialect: opened.name,
    db,
    async ping() {
      await sql`select 1`.execute(db);
    },
    close: () => db.destroy(),
  };
}

function openDatabase(url: string, config: StoreConfig): OpenedDatabase {
  if (url.startsWith('file:')) {
    const path = url.slice('file:'.length);
    mkdirSync(dirname(path), { recursive: true });
    return openSqlite(path, config);
  }
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url, config);
  throw new GatewayError('invalid_request', 'The store url must begin with `file:` or `postgres://`.', {
    reason: 'store_url_invalid',
  });
}
