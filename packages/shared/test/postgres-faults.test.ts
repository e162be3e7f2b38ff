import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { commitUnknown } from '@strata/shared/stores/store-errors.ts';
import { type ChaosProxy, startChaosProxy } from '@strata/shared/testing/chaos-proxy.ts';
import { type PostgresServer, startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ItemsSchema, openItems, outcomeOf } from './contracts/sql-items.ts';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

if (isMissing(postgres)) test.skip(`PostgreSQL that fails: ${postgres.missing}`, () => {});
else describe('PostgreSQL that fails', () => suite(postgres));

function suite(server: PostgresServer): void {
  let url: string;
  const opened: SqlStore<ItemsSchema>[] = [];
  const proxies: ChaosProxy[] = [];
  beforeEach(async () => {
    url = await server.createDatabase();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(store => store.close()));
    await Promise.all(proxies.splice(0).map(proxy => proxy.close()));
  });

  const open = async (config: object = {}, at = url) => {
    const store = await openItems(at, { config });
    opened.push(store);
    return store;
  };
  /** A store behind a network that can fail, with one connection. */
  const openThroughProxy = async (config: object = {}) => {
    await (await openItems(url)).close();
    const proxy = await startChaosProxy({ target: { port: server.port } });
    proxies.push(proxy);
    const store = await open({ pool_size: 1, ...config }, url.replace(`:${server.port}`, `:${proxy.port}`));
    return { proxy, store };
  };
  const insert = (store: SqlStore<ItemsSchema>, id: string) =>
    store.db.insertInto('items').values({ id, amount: 1, data: null }).execute();
  const insertInTransaction = (store: SqlStore<ItemsSchema>, id: string) =>
    store.db
      .transaction()
      .execute(transaction =>
        transaction.insertInto('items').values({ id, amount: 1, data: null }).execute(),
      );
  const idsIn = async (store: SqlStore<ItemsSchema>) =>
    (await store.db.selectFrom('items').select('id').orderBy('id').execute()).map(row => row.id);
  const expectNoLeak = (store: SqlStore<ItemsSchema>) => {
    const { size, idle, waiting } = store.usage();
    expect({ idle, waiting }).toEqual({ idle: size, waiting: 0 });
  };

  test('[F14] stopped for five seconds under load: refused at once meanwhile, then whole again, nothing leaked, nothing confirmed lost', async () => {
    const store = await open({ pool_size: 5 });
    const outcomes = new Map<string, number>();
    const confirmed: string[] = [];
    let isOver = false;
    let slowestMs = 0;
    const lanes = Array.from({ length: 10 }, async (_, lane) => {
      for (let index = 0; !isOver; index++) {
        const id = `${lane}/${index}`;
        const startedMs = performance.now();
        const outcome = await outcomeOf(insertInTransaction(store, id));
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        if (outcome === 'done') confirmed.push(id);
        await new Promise(resolve => setTimeout(resolve, 5));
      }
    });
    await until(() => confirmed.length > 20);
    await server.stop();
    await new Promise(resolve => setTimeout(resolve, 5000)); // the fault itself: F14 names its length
    await server.restart();
    const before = confirmed.length;
    await until(() => confirmed.length > before + 50);
    isOver = true;
    await Promise.all(lanes);
    expect(outcomes.get('store_unavailable')).toBeGreaterThan(50);
    expect(
      [...outcomes.keys()].filter(each => !['done', 'store_unavailable', 'commit_unknown'].includes(each)),
    ).toEqual([]);
    expect(slowestMs).toBeLessThan(4000);
    expectNoLeak(store);
    const kept = new Set(await idsIn(store));
    expect(confirmed.filter(id => !kept.has(id))).toEqual([]);
  });

  test('[F15] killed in the middle of transactions: they are undone, and the error is of the store', async () => {
    const store = await open();
    const failing = store.db.transaction().execute(async transaction => {
      await transaction.insertInto('items').values({ id: 'gone', amount: 1, data: null }).execute();
      await server.kill();
      await transaction.insertInto('items').values({ id: 'gone too', amount: 1, data: null }).execute();
    });
    expect(await outcomeOf(failing)).toBe('store_unavailable');
    expect(await outcomeOf(store.ping())).toBe('store_unavailable');
    await server.restart();
    await insert(store, 'after');
    expect(await idsIn(store)).toEqual(['after']);
    expectNoLeak(store);
  });

  test('[F17] a commit whose answer is lost is unknown: not failed, not repeated', async () => {
    const { proxy, store } = await openThroughProxy();
    const direct = await open();
    const [connection] = proxy.connections.slice(-1);
    const committing = outcomeOf(
      store.db.transaction().execute(async transaction => {
        await transaction.insertInto('items').values({ id: 'kept', amount: 1, data: null }).execute();
        connection?.set({ toClient: { blackhole: true } });
      }),
    );
    await untilTrue(async () => (await idsIn(direct)).includes('kept'));
    connection?.reset();
    expect(await committing).toBe('commit_unknown');
    expect(await idsIn(store)).toEqual(['kept']);
    expectNoLeak(store);
  });

  test('[F17] so is a write of its own; a read is simply refused', async () => {
    const { proxy, store } = await openThroughProxy();
    const direct = await open();
    proxy.connections.at(-1)?.set({ toClient: { blackhole: true } });
    const writing = outcomeOf(insert(store, 'kept'));
    await untilTrue(async () => (await idsIn(direct)).includes('kept'));
    proxy.reset();
    expect(await writing).toBe('commit_unknown');
    expect(await idsIn(store)).toEqual(['kept']);
    const connection = proxy.connections.at(-1);
    const sentBytes = connection?.toServer.receivedBytes ?? 0;
    connection?.set({ toClient: { blackhole: true } });
    const reading = outcomeOf(idsIn(store));
    await connection?.until(each => each.toServer.receivedBytes > sentBytes);
    proxy.reset();
    expect(await reading).toBe('store_unavailable');
    expectNoLeak(store);
  });

  test('no error tells that nothing happened when it may have, and none is repeated by itself', async () => {
    const store = await open();
    await server.stop();
    await untilTrue(async () => (await outcomeOf(store.ping())) === 'store_unavailable');
    await expect(insert(store, 'x')).rejects.toMatchObject({ kind: 'overloaded', retryable: true });
    await server.restart();
    expect(commitUnknown(undefined)).toMatchObject({ retryable: false });
  });

  test('[F16] a full pool makes callers wait for a bounded time only', async () => {
    const store = await open({ pool_size: 1, acquire_timeout_ms: 50 });
    const held = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    const holder = store.db.transaction().execute(async () => {
      held.resolve();
      await mayEnd.promise;
    });
    await held.promise;
    const asked = await Promise.all(Array.from({ length: 20 }, () => outcomeOf(store.ping())));
    expect(new Set(asked)).toEqual(new Set(['store_unavailable']));
    const waiting = outcomeOf(store.ping());
    mayEnd.resolve();
    await holder;
    expect(await waiting).toBe('done');
    await store.ping();
    expectNoLeak(store);
  });

  test('[F16] a statement that takes too long is ended, by the server', async () => {
    const store = await open({ pool_size: 1, statement_timeout_ms: 50 });
    expect(await outcomeOf(sql`select pg_sleep(60)`.execute(store.db))).toBe('store_timeout');
    await store.ping();
    expectNoLeak(store);
  });

  test('a transaction that was forgotten is ended by the server, and does not hold its locks', async () => {
    const store = await open({ pool_size: 2, statement_timeout_ms: 100 });
    const forgetful = outcomeOf(
      store.db.transaction().execute(async transaction => {
        await transaction.insertInto('items').values({ id: 'x', amount: 1, data: null }).execute();
        await untilTrue(async () => (await idleInTransaction(store)) === 0);
        await transaction.selectFrom('items').selectAll().execute();
      }),
    );
    expect(await forgetful).toBe('store_unavailable');
    await insert(store, 'x');
    expectNoLeak(store);
  });

  test('[F21] a server that hangs costs its time limit, then its connections are replaced', async () => {
    const store = await open({ pool_size: 2, statement_timeout_ms: 100, connect_timeout_ms: 300 });
    await store.ping();
    server.pause();
    try {
      expect(await outcomeOf(store.ping())).toBe('store_unavailable');
      expect(await outcomeOf(store.ping())).toBe('store_unavailable');
    } finally {
      server.resume();
    }
    await untilTrue(async () => (await outcomeOf(store.ping())) === 'done');
    expectNoLeak(store);
  });

  test('[F21] a connection lost without a word is not used a second time', async () => {
    const { proxy, store } = await openThroughProxy({ statement_timeout_ms: 50 });
    proxy.connections.at(-1)?.isolate();
    expect(await outcomeOf(idsIn(store))).toBe('store_unavailable');
    expect(await outcomeOf(idsIn(store))).toBe('done');
    expectNoLeak(store);
  });

  test('transactions that block each other: one gives way and may be tried again', async () => {
    const store = await open();
    await insert(store, 'a');
    await insert(store, 'b');
    const bothHold = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const touch = (first: string, second: string, own: number) =>
      store.db.transaction().execute(async transaction => {
        await transaction.updateTable('items').set({ amount: 2 }).where('id', '=', first).execute();
        bothHold[own]?.resolve();
        await Promise.all(bothHold.map(each => each.promise));
        await transaction.updateTable('items').set({ amount: 2 }).where('id', '=', second).execute();
      });
    const outcomes = await Promise.all([outcomeOf(touch('a', 'b', 0)), outcomeOf(touch('b', 'a', 1))]);
    expect(outcomes.sort()).toEqual(['done', 'transaction_conflict']);
    expectNoLeak(store);
  });

  test('a transaction in which a failed statement was overlooked is not taken for committed', async () => {
    const store = await open();
    const overlooking = store.db.transaction().execute(async transaction => {
      await transaction.insertInto('items').values({ id: 'x', amount: 1, data: null }).execute();
      await sql`select 1/0`.execute(transaction).catch(() => {});
    });
    await expect(overlooking).rejects.toThrow();
    expect(await idsIn(store)).toEqual([]);
    expectNoLeak(store);
  });

  test('a database that does not exist, or nobody who listens, is told apart at the start', async () => {
    expect(await outcomeOf(openItems(`${url}_not`))).toBe('store_access_denied');
    const proxy = await startChaosProxy({ target: { port: server.port } });
    proxy.refuse(true);
    expect(await outcomeOf(openItems(url.replace(`:${server.port}`, `:${proxy.port}`)))).toBe(
      'store_unavailable',
    );
    await proxy.close();
  });

  test('the server sees who is connected', async () => {
    const store = await open();
    const { rows } = await sql<{
      name: string;
    }>`select application_name as name from pg_stat_activity where pid = pg_backend_pid()`.execute(store.db);
    expect(rows).toEqual([{ name: 'strata' }]);
  });

  async function idleInTransaction(store: SqlStore<ItemsSchema>): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'
    `.execute(store.db);
    return rows[0]?.count ?? 0;
  }
}

/** Looks again and again, for what another process does at its own pace. The test's time limit is the limit. */
async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 5));
}

function until(condition: () => boolean): Promise<void> {
  return untilTrue(async () => condition());
}
