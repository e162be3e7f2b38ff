import {
  type DialectAdapter,
  type SelectModifierNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { OpenedDatabase } from './sql.ts';
import { SqliteDriver } from './sqlite-driver.ts';
import type { StoreConfig } from './store-section.ts';

/** One SQLite file, shared by the processes of this machine. */
export function openSqlite(path: string, config: Pick<StoreConfig, 'busy_timeout_ms'>): OpenedDatabase {
  const driver = new SqliteDriver({ path, busyTimeoutMs: config.busy_timeout_ms });
  return {
    name: 'sqlite',
    usage: () => driver.usage,
    dialect: {
      createDriver: () => driver,
      createAdapter: () => new TurnTakingAdapter(),
      createIntrospector: db => new SqliteIntrospector(db),
      createQueryCompiler: () => new LockFreeQueryCompiler(),
    },
  };
}

/** The driver orders its callers itself: a lock around all of them would make reads wait for writes. */
class TurnTakingAdapter extends SqliteAdapter implements DialectAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

const rowLocks: ReadonlySet<string | undefined> = new Set([
  'ForUpdate',
  'ForNoKeyUpdate',
  'ForShare',
  'ForKeyShare',
  'NoWait',
  'SkipLocked',
]);

/** A transaction holds the lock on the whole file, so row locks (`for update skip locked`) have nothing to add and no syntax here. */
class LockFreeQueryCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (!rowLocks.has(node.modifier)) super.visitSelectModifier(node);
  }
}
