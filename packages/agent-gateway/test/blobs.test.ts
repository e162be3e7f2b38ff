import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Claim, NewRun } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';
import { runEvent } from './support/run-event.ts';

/** Large values: kept once, verified when they are read, gone with the last run that names them. */

interface Opened {
  readonly journal: Journal;
  /** A statement beside the journal, as somebody with the disk in his hands would make it. */
  query(text: string): Promise<Readonly<Record<string, unknown>>[]>;
  close(): Promise<void>;
}

let postgres: TestPostgres;
const folder = mkdtempSync(join(tmpdir(), 'strata-blobs-'));
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(async () => {
  await postgres.close();
  rmSync(folder, { recursive: true });
});

let count = 0;
const stores: Readonly<Record<string, () => Promise<Opened>>> = {
  async SQLite() {
    const path = join(folder, `journal-${count++}.sqlite`);
    const journal = await openSqliteJournal(path);
    const database = new DatabaseSync(path, { timeout: 5000 });
    return {
      journal,
      query: async text => database.prepare(text).all(),
      async close() {
        database.close();
        await journal.close();
      },
    };
  },
  async PostgreSQL() {
    const url = await postgres.server.createDatabase();
    const journal = await postgres.openJournal(url);
    const client = new pg.Client({ connectionString: url, options: '-c search_path=strata_agent' });
    await client.connect();
    return {
      journal,
      query: async text => (await client.query(text)).rows,
      async close() {
        await client.end();
        await journal.close();
      },
    };
  },
};

const large = (letter: string) => letter.repeat(40_000);
const progress = { costNanoUsd: 0n, unpricedCalls: 0, inputTokens: 0, outputTokens: 0, heldTasks: 0 };

function newRun(id: string, input: unknown, fork?: NewRun['fork']): NewRun {
  return {
    id,
    tenant: 't',
    principal: 'p',
    definition: 'sha256:a',
    namespace: 'n',
    name: 'w',
    version: '1.0.0',
    traceId: '',
    idempotencyKey: undefined,
    requestDigest: '',
    atMs: 1,
    fork,
    event: { ...runEvent({ tenant: 't', definition: 'sha256:a', deadlineAtMs: 9 }), input },
  };
}

const output = (value: unknown) => ({
  kind: 'run-completed' as const,
  payload: JSON.stringify({ type: 'run-completed', output: value }),
  atMs: 2,
});

async function claimed(journal: Journal, runId: string): Promise<Claim> {
  const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1_000_000, limit: 100 });
  const found = claims.find(each => each.runId === runId);
  if (found === undefined) throw new Error(`${runId} was not due`);
  return found;
}

async function end(journal: Journal, claim: Claim, value: unknown): Promise<void> {
  const records = [output(value)];
  const ended = { records, progress: { ...progress, status: 'completed' as const }, isFinal: true, atMs: 20 };
  expect(await journal.append({ claim, position: 1, ...ended })).toBe(true);
}

const valuesOf = async (journal: Journal, runId: string) =>
  (await journal.read(runId, 0, 10)).map(({ event }) =>
    event.type === 'run-created' ? event.input : event.type === 'run-completed' ? event.output : event.type,
  );

describe.each(Object.keys(stores))('%s', store => {
  let opened: Opened;
  let journal: Journal;
  beforeAll(async () => {
    opened = await (stores[store] as () => Promise<Opened>)(); // one of its own keys
    journal = opened.journal;
    await journal.putDefinition({ hash: 'sha256:a', document: '{}' }, 1);
  });
  afterAll(() => opened.close());

  const counts = async () =>
    (await opened.query('select refs from blobs order by refs')).map(({ refs }) => Number(refs));

  test('a large value is kept once for all runs that have it, is read whole, and goes with the last of them', async () => {
    await journal.createRun(newRun('run_1', { text: large('a') }));
    await journal.createRun(newRun('run_2', { text: large('a') }));
    const [one, two] = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1_000_000, limit: 100 });
    for (const each of [one, two]) await end(journal, each as Claim, { text: large('a') }); // both are due
    expect(await counts()).toEqual([2]);
    for (const id of ['run_1', 'run_2'])
      expect(await valuesOf(journal, id)).toEqual([{ text: large('a') }, { text: large('a') }]);
    const [record] = await journal.read('run_1', 0, 1);
    expect(record?.bytes).toBe(JSON.stringify(newRun('run_1', { text: large('a') }).event).length);

    const record2 = { kind: 'run-forked' as const, payload: '{"type":"run-forked"}', atMs: 30 };
    await journal.createRun(
      newRun('run_3', { text: large('b') }, { runId: 'run_1', to: 2, record: record2 }),
    );
    expect(await counts()).toEqual([1, 3]);
    expect(await journal.removeEnded({ beforeMs: 99, limit: 10 })).toBe(2);
    expect(await counts()).toEqual([1, 1]);
    expect(await valuesOf(journal, 'run_3')).toEqual([
      { text: large('b') },
      { text: large('a') },
      'run-forked',
    ]);
    const third = await claimed(journal, 'run_3');
    const last = { records: [output(1)], progress: { ...progress, status: 'completed' as const } };
    await journal.append({ claim: third, position: 3, ...last, atMs: 40, isFinal: true });
    expect(await journal.removeEnded({ beforeMs: 99, limit: 10 })).toBe(1);
    expect(await counts()).toEqual([]);
    expect(await opened.query('select * from blob_refs')).toEqual([]);
  });

  test('a blob that is removed while others begin to name it is there for them', async () => {
    const value = { text: large('c') };
    for (let round = 0; round < 10; round++) {
      const ids = [`run_${round}_old`, `run_${round}_new`] as const;
      await journal.createRun(newRun(ids[0], value));
      await end(journal, await claimed(journal, ids[0]), 1);
      await Promise.all([
        journal.removeEnded({ beforeMs: 99, limit: 10 }),
        journal.createRun(newRun(ids[1], value)),
      ]);
      expect(await valuesOf(journal, ids[1])).toEqual([value]);
      await end(journal, await claimed(journal, ids[1]), 1);
      await journal.removeEnded({ beforeMs: 99, limit: 10 });
      expect(await counts()).toEqual([]);
    }
  });

  test('[F90] what was changed on disk is no record of the run', async () => {
    await journal.createRun(newRun('run_9', { text: large('d') }));
    await journal.createRun(newRun('run_8', { small: 'e' }));
    await opened.query("update blobs set body = replace(body, 'ddd', 'dxd')");
    await opened.query(
      "update journal set payload = replace(payload, '\"e\"', '\"f\"') where run_id = 'run_8'",
    );
    for (const id of ['run_8', 'run_9'])
      await expect(journal.read(id, 0, 10)).rejects.toMatchObject({ reason: 'journal_corrupt' });
  });
});
