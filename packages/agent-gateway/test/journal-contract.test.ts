import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { journalContract } from './journal-contract.ts';
import { oldEventsContract } from './old-events-contract.ts';
import { outboxContract } from './outbox-contract.ts';
import { queueContract } from './queue-contract.ts';
import { createMemoryJournal } from './support/memory-journal.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

// The suite carries the labels [AG-2], [AG-4], [AG-6] and [AG-7].
const folder = mkdtempSync(join(tmpdir(), 'strata-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
const openSqlite = () => openSqliteJournal(join(folder, `journal-${count++}.sqlite`));
journalContract('SQLite', openSqlite);
queueContract('queues in SQLite', openSqlite);
outboxContract('outbox in SQLite', openSqlite);
oldEventsContract('old events in SQLite', openSqlite);

journalContract('memory, for the simulator', async () => createMemoryJournal());
queueContract('queues in memory', async () => createMemoryJournal());
outboxContract('outbox in memory', async () => createMemoryJournal());
oldEventsContract('old events in memory', async () => createMemoryJournal());

describe('with a server', () => {
  let postgres: TestPostgres;
  beforeAll(async () => {
    postgres = await openTestPostgres();
  });
  afterAll(() => postgres.close());
  journalContract('PostgreSQL', () => postgres.openJournal());
  queueContract('queues in PostgreSQL', () => postgres.openJournal());
  outboxContract('outbox in PostgreSQL', () => postgres.openJournal());
  oldEventsContract('old events in PostgreSQL', () => postgres.openJournal());
});
