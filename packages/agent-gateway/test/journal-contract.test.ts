import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { journalContract } from './journal-contract.ts';
import { createMemoryJournal } from './support/memory-journal.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

// The suite carries the labels [AG-2] and [AG-4].
const folder = mkdtempSync(join(tmpdir(), 'strata-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
journalContract('SQLite', () => openSqliteJournal(join(folder, `journal-${count++}.sqlite`)));

journalContract('memory, for the simulator', async () => createMemoryJournal());

describe('with a server', () => {
  let postgres: TestPostgres;
  beforeAll(async () => {
    postgres = await openTestPostgres();
  });
  afterAll(() => postgres.close());
  journalContract('PostgreSQL', () => postgres.openJournal());
});
