import { createHash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { SqlDialect } from './sql.ts';

/** Column types that differ between the dialects, so that a migration is written once. */
export interface ColumnTypes {
  readonly text: string;
  /** Text that holds JSON; parsed where it is read. */
  readonly json: string;
  /** 64 bits. */
  readonly integer: string;
  /** Milliseconds since the epoch. */
  readonly timeMs: string;
  readonly bytes: string;
  /** A whole column definition: a primary key that the database numbers, rising, never used again. Not without gaps. */
  readonly serialKey: string;
  /** What follows the closing parenthesis of `create table`. */
  readonly tableOptions: string;
  /** Of a day since the epoch, the first of its month. Both UTC. */
  monthOfDay(day: string): string;
  /** A row for each string of a JSON list, in its column `value`. */
  jsonElements(list: string, name: string): string;
  /** Statements after which the engine refuses to change or remove rows of the table. */
  appendOnly(table: string): readonly string[];
}

const columnTypes: Readonly<Record<SqlDialect, ColumnTypes>> = {
  sqlite: {
    text: 'text',
    json: 'text',
    integer: 'integer',
    timeMs: 'integer',
    bytes: 'blob',
    serialKey: 'integer primary key autoincrement',
    tableOptions: 'strict',
    monthOfDay: day => `unixepoch(${day} * 86400, 'unixepoch', 'start of month') / 86400`,
    jsonElements: (list, name) => `json_each(${list}) as ${name}`,
    appendOnly: table =>
      ['update', 'delete'].map(
        change =>
          `create trigger ${table}_refuses_${change} before ${change} on ${table} begin select raise(abort, '${table} is append-only'); end`,
      ),
  },
  postgres: {
    text: 'text',
    json: 'text',
    integer: 'bigint',
    timeMs: 'bigint',
    bytes: 'bytea',
    serialKey: 'bigint generated always as identity primary key',
    tableOptions: '',
    monthOfDay: day =>
      `extract(epoch from date_trunc('month', to_timestamp(${day} * 86400), 'UTC'))::bigint / 86400`,
    jsonElements: (list, name) => `json_array_elements_text((${list})::json) as ${name} (value)`,
    appendOnly: table => [
      `create function ${table}_is_append_only() returns trigger language plpgsql as $$ begin raise exception '${table} is append-only' using errcode = 'restrict_violation'; end $$`,
      `create trigger ${table}_refuses_change before update or delete on ${table} for each row execute function ${table}_is_append_only()`,
      `create trigger ${table}_refuses_truncate before truncate on ${table} for each statement execute function ${table}_is_append_only()`,
    ],
  },
};

export interface Migration {
  /** `0001-virtual-keys`: applied in the order of the list, never changed or moved once released. */
  readonly name: string;
  statements(types: ColumnTypes): readonly string[];
}

/** The tables of one feature. It lives in the folder of the feature. */
export interface MigrationSet {
  readonly name: string;
  readonly migrations: readonly Migration[];
}

const tableName = 'strata_migrations';
const advisoryLock = 0x5354_5241;

/**
 * Applies what is missing, all in one transaction that only one process at a time can be in: it happens whole, once, or not at all.
 * A database that holds migrations of these sets that this program does not know was written by a newer one, and is refused rather
 * than guessed at.
 */
export async function migrate(
  db: Kysely<unknown>,
  dialect: SqlDialect,
  sets: readonly MigrationSet[],
  clock: Clock,
): Promise<void> {
  const types = columnTypes[dialect];
  await db.transaction().execute(async transaction => {
    if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${advisoryLock})`.execute(transaction);
    await sql
      .raw(
        `create table if not exists ${tableName} (name ${types.text} primary key, checksum ${types.text} not null, applied_at_ms ${types.timeMs} not null) ${types.tableOptions}`,
      )
      .execute(transaction);
    const { rows } = await sql<{
      name: string;
      checksum: string;
    }>`select name, checksum from ${sql.table(tableName)}`.execute(transaction);
    const applied = new Map(rows.map(row => [row.name, row.checksum]));
    for (const set of sets) {
      refuseUnknown(set, applied);
      for (const { name, checksum, statements } of missingOf(set, applied, types)) {
        for (const statement of statements) await sql.raw(statement).execute(transaction);
        await sql`insert into ${sql.table(tableName)} (name, checksum, applied_at_ms) values (${name}, ${checksum}, ${clock.now()})`.execute(
          transaction,
        );
      }
    }
  });
}

interface Step {
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly string[];
}

/** What is not applied yet. What is applied must be the beginning of the list, unchanged. */
function missingOf(set: MigrationSet, applied: ReadonlyMap<string, string>, types: ColumnTypes): Step[] {
  const missing: Step[] = [];
  for (const migration of set.migrations) {
    const name = `${set.name}/${migration.name}`;
    const statements = migration.statements(types);
    const checksum = createHash('sha256').update(statements.join(';\n')).digest('hex');
    const known = applied.get(name);
    if (known === undefined) missing.push({ name, checksum, statements });
    else if (known !== checksum || missing.length > 0) throw migrationChanged(name);
  }
  return missing;
}

function migrationChanged(name: string): GatewayError {
  return new GatewayError(
    'conflict',
    `The store was migrated by '${name}' in another form or order than this version has. Start the version that wrote it.`,
    { reason: 'migration_changed' },
  );
}

function refuseUnknown(set: MigrationSet, applied: ReadonlyMap<string, string>): void {
  const known = new Set(set.migrations.map(migration => `${set.name}/${migration.name}`));
  const unknown = [...applied.keys()].find(name => name.startsWith(`${set.name}/`) && !known.has(name));
  if (unknown === undefined) return;
  throw new GatewayError(
    'conflict',
    `The store was written by a newer version of Strata (it has '${unknown}'). Start that version.`,
    { reason: 'store_newer' },
  );
}
