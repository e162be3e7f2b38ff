import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, expect, test, vi } from 'vitest';
import { openItems, outcomeOf } from './contracts/sql-items.ts';

/** What only a file shared by processes can get wrong. */

const folder = mkdtempSync(join(tmpdir(), 'strata-sqlite-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL'); // those of a test that failed
  rmSync(folder, { recursive: true });
});
let files = 0;
const newFile = () => join(folder, `${++files}.sqlite`);

/** A process that writes; `said` counts the commits it has reported. */
function startWriter(path: string, id: string, times: number, lanes = 1) {
  const program = join(import.meta.dirname, 'fixtures/sqlite-writer.ts');
  const child: ChildProcess = spawn(process.execPath, [program, path, id, `${times}`, `${lanes}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const writer = { child, said: 0, ended: once(child, 'close').then(([code, signal]) => code ?? signal) };
  child.stdout?.on('data', (chunk: Buffer) => {
    writer.said += chunk.length;
  });
  return writer;
}

async function amountsIn(path: string): Promise<Record<string, unknown>> {
  const store = await openItems(`file:${path}`);
  const rows = await store.db.selectFrom('items').select(['id', 'amount']).execute();
  await store.close();
  return Object.fromEntries(rows.map(row => [row.id, row.amount]));
}

test('three processes start on a new file and write to it at once: none is turned away, nothing is lost', async () => {
  const path = newFile();
  const writers = ['a', 'b', 'c'].map(id => startWriter(path, id, 25, 4));
  expect(await Promise.all(writers.map(writer => writer.ended))).toEqual([0, 0, 0]);
  expect(await amountsIn(path)).toEqual({ a: 100, b: 100, c: 100, shared: 300 });
});

test('[F1] writers killed at any moment lose nothing they have said, and leave no lock', async () => {
  const path = newFile();
  for (const round of [1, 2, 3]) {
    const victims = ['a', 'b'].map(id => startWriter(path, `${id}${round}`, 100_000, 2));
    for (const victim of victims)
      while (victim.said < 10 * round) await once(victim.child.stdout ?? fail(), 'data');
    for (const victim of victims) victim.child.kill('SIGKILL');
    expect(await Promise.all(victims.map(victim => victim.ended))).toEqual(['SIGKILL', 'SIGKILL']);
    const amounts = await amountsIn(path);
    for (const [index, victim] of victims.entries()) {
      const kept = Number(amounts[`${'ab'[index]}${round}`]);
      expect(kept).toBeGreaterThanOrEqual(victim.said);
      expect(kept).toBeLessThanOrEqual(victim.said + 2); // committed, and killed before it could say so
    }
    const { shared, ...own } = amounts;
    expect(Object.values(own).reduce<number>((sum, amount) => sum + Number(amount), 0)).toBe(shared);
  }
});

test('the log is a write-ahead log, and the file is for its owner alone', async () => {
  const path = newFile();
  const store = await openItems(`file:${path}`);
  const pragma = async (name: string) =>
    Object.values((await sql.raw<object>(`pragma ${name}`).execute(store.db)).rows[0] ?? {})[0];
  expect([await pragma('journal_mode'), await pragma('foreign_keys')]).toEqual(['wal', 1]);
  expect([path, `${path}-wal`].map(file => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
  await store.close();
});

test('a write is answered once the disk has it, and nothing waits for the disk meanwhile', async () => {
  const path = newFile();
  const store = await openItems(`file:${path}`);
  const file = await open(path);
  const disk = Promise.withResolvers<void>();
  const sync = vi.spyOn(Object.getPrototypeOf(file), 'datasync').mockReturnValue(disk.promise);
  const answered: string[] = [];
  const write = (id: string) =>
    store.db
      .transaction()
      .execute(transaction => transaction.insertInto('items').values({ id, amount: 1, data: null }).execute())
      .then(() => answered.push(id));
  const writes = [write('a'), write('b')];
  await expect.poll(() => store.db.selectFrom('items').selectAll().execute()).toHaveLength(2);
  expect([answered, sync.mock.calls.length]).toEqual([[], 1]);
  disk.resolve();
  await Promise.all(writes);
  expect([answered, sync.mock.calls.length]).toEqual([['a', 'b'], 2]);
  sync.mockRestore();
  await file.close();
  await store.close();
});

test('a commit of which the disk does not say that it has it is in doubt, and harms no other', async () => {
  const path = newFile();
  const store = await openItems(`file:${path}`);
  const file = await open(path);
  const sync = vi
    .spyOn(Object.getPrototypeOf(file), 'datasync')
    .mockRejectedValueOnce(Object.assign(new Error('EIO'), { code: 'EIO' }));
  const write = (id: string) =>
    store.db
      .transaction()
      .execute(transaction =>
        transaction.insertInto('items').values({ id, amount: 1, data: null }).execute(),
      );
  const [first, second] = [write('a'), write('b')].map(outcomeOf);
  expect([await first, await second]).toEqual(['commit_unknown', 'done']);
  expect(await amountsIn(path)).toEqual({ a: 1, b: 1 });
  sync.mockRestore();
  await file.close();
  await store.close();
});

test('a transaction that waits for itself through the outer store is refused, not stuck', async () => {
  const store = await openItems(`file:${newFile()}`, { config: { busy_timeout_ms: 50 } });
  const row = { id: 'x', amount: 1, data: null };
  const stuck = store.db.transaction().execute(() => store.db.insertInto('items').values(row).execute());
  expect(await outcomeOf(stuck)).toBe('store_unavailable');
  await store.db.insertInto('items').values(row).execute();
  await store.close();
});

test('a writer that holds the file too long makes others give up in time; readers do not notice', async () => {
  const path = newFile();
  const holder = await openItems(`file:${path}`);
  const other = await openItems(`file:${path}`, { config: { busy_timeout_ms: 50 } });
  await holder.db.transaction().execute(async transaction => {
    await transaction.insertInto('items').values({ id: 'x', amount: 1, data: null }).execute();
    expect(await outcomeOf(other.db.deleteFrom('items').execute())).toBe('store_unavailable');
    expect(await other.db.selectFrom('items').selectAll().execute()).toEqual([]);
  });
  expect(await outcomeOf(other.db.deleteFrom('items').execute())).toBe('done');
  await Promise.all([holder.close(), other.close()]);
});

test('[F10] a full disk refuses the write, keeps what was there, and is written again when there is room', async () => {
  const store = await openItems(`file:${newFile()}`);
  const insert = (id: string, bytes: number) =>
    store.db
      .insertInto('items')
      .values({ id, amount: 1, data: new Uint8Array(bytes) })
      .execute();
  await insert('small', 10);
  await sql.raw('pragma max_page_count = 20').execute(store.db);
  const filling = store.db.transaction().execute(async transaction => {
    await transaction.insertInto('items').values({ id: 'before', amount: 1, data: null }).execute();
    await transaction
      .insertInto('items')
      .values({ id: 'big', amount: 1, data: new Uint8Array(1e6) })
      .execute();
  });
  expect(await outcomeOf(filling)).toBe('store_unavailable');
  expect(await store.db.selectFrom('items').select('id').execute()).toEqual([{ id: 'small' }]);
  await sql.raw('pragma max_page_count = 1000000').execute(store.db);
  expect(await outcomeOf(insert('big', 1e6))).toBe('done');
  await store.close();
});

test('statements without number leave no trace but their work', async () => {
  const store = await openItems(`file:${newFile()}`);
  for (let index = 0; index < 500; index++) {
    await sql.raw(`insert into items (id, amount) values ('row ${index}', ${index})`).execute(store.db);
  }
  expect(
    await store.db
      .selectFrom('items')
      .select(({ fn }) => fn.sum('amount').as('sum'))
      .executeTakeFirst(),
  ).toEqual({ sum: 124_750 });
  await store.close();
});

test('after it was closed a store says so; closing waits for the transaction under way', async () => {
  const path = newFile();
  const store = await openItems(`file:${path}`);
  const begun = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  const writing = store.db.transaction().execute(async transaction => {
    await transaction.insertInto('items').values({ id: 'last', amount: 1, data: null }).execute();
    begun.resolve();
    await mayEnd.promise;
  });
  await begun.promise;
  const closing = store.close();
  mayEnd.resolve();
  await Promise.all([writing, closing]);
  await expect(store.ping()).rejects.toThrow();
  expect(await amountsIn(path)).toEqual({ last: 1 });
});

function fail(): never {
  throw new Error('the writer has no output');
}
