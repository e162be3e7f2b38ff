import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Journal } from '../../src/domain/journal.ts';
import { openSqliteJournal } from '../../src/journal/sqlite/sqlite-journal.ts';
import { createEngines, type EngineParts, type Engines } from './engine.ts';
import { openTestPostgres, type TestPostgres } from './postgres-journal.ts';

export const stores = ['SQLite', 'PostgreSQL'] as const;
export type Store = (typeof stores)[number];

/** The engine, and empty journals of both kinds in a folder and on a server that last as long as the test file. */
export function useBothStores(options: Parameters<typeof createEngines>[0] = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-journals-'));
  let engines: Engines;
  let postgres: TestPostgres;
  beforeAll(async () => {
    engines = await createEngines(options);
    postgres = await openTestPostgres();
  });
  afterAll(async () => {
    await engines.close();
    await postgres.close();
    rmSync(folder, { recursive: true });
  });
  return {
    openJournal: (store: Store): Promise<Journal> =>
      store === 'SQLite'
        ? openSqliteJournal(join(folder, `${crypto.randomUUID()}.sqlite`))
        : postgres.openJournal(),
    read: (document: unknown) => engines.read(document),
    worker: (parts: EngineParts) => engines.worker(parts),
  };
}
