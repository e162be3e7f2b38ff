import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunFilter } from '../src/domain/journal.ts';
import { schemaName } from '../src/journal/postgres/schema.ts';
import { runListStatement } from '../src/journal/run-list.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { newestSumText, newestText, removeOldestText, removeOldText } from '../src/journal/trim-events.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** What is asked again and again, of tables that grow, finds its rows by an index. */

type Plan = (text: (place: (position: number) => string) => string, values: unknown[]) => Promise<string>;

const folder = mkdtempSync(join(tmpdir(), 'strata-plans-'));
let postgres: TestPostgres;
let client: pg.Client;
let database: DatabaseSync;

beforeAll(async () => {
  postgres = await openTestPostgres();
  const url = await postgres.server.createDatabase();
  await (await postgres.openJournal(url)).close();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  // The tables are empty: without this, reading the whole of them would be right.
  await client.query(
    `set search_path = ${schemaName}; set enable_seqscan = off; set enable_bitmapscan = off`,
  );
  const path = join(folder, 'journal.sqlite');
  await (await openSqliteJournal(path)).close();
  database = new DatabaseSync(path);
});
afterAll(async () => {
  database.close();
  await client.end();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

const stores: Readonly<Record<string, Plan>> = {
  SQLite: async (text, values) =>
    database
      .prepare(`explain query plan ${text(position => `?${position}`)}`)
      .all(...(values as (string | number)[]))
      .map(({ detail }) => String(detail))
      .join('\n'),
  PostgreSQL: async (text, values) =>
    (await client.query<{ 'QUERY PLAN': string }>(`explain ${text(position => `$${position}`)}`, values)).rows
      .map(row => row['QUERY PLAN'])
      .join('\n'),
};

const lists: Readonly<Record<string, Partial<RunFilter>>> = {
  runs_by_tenant: {},
  runs_of_queue: { queue: 'q' },
  runs_by_principal: { principal: 'p' },
  runs_by_workflow: { namespace: 'n', name: 'w' },
};

describe.each(Object.entries(stores))('%s', (_, plan) => {
  test.each(Object.entries(lists))('a list of runs by %s', async (index, filter) => {
    for (const before of [undefined, 'run_1']) {
      const asked = { tenant: 't', limit: 50, before, ...filter };
      const { values } = runListStatement(asked, () => '?');
      const found = await plan(place => runListStatement(asked, place).text, [...values]);
      expect(found).toContain(` ${index} `.trimEnd());
      expect(found, 'in its order').not.toMatch(/sort|temp b-tree/i);
    }
  });

  test('events that are too old, or too many', async () => {
    const texts = {
      events_by_tenant: [newestText, newestSumText, removeOldestText],
      events_by_age: [removeOldText],
    };
    for (const [index, each] of Object.entries(texts))
      for (const text of each) {
        const found = await plan(
          place => text(place(1), `cast(${place(2)} as bigint)`, place(3)),
          ['t', 9, 5],
        );
        expect(found).toContain(index);
        expect(found).not.toMatch(/sort|temp b-tree/i);
      }
  });
});
