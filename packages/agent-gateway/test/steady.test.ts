import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { sized } from '@strata/shared/testing/size.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import type { JournalRecord } from '../src/domain/run-events.ts';
import { terminalStatuses } from '../src/domain/run-state.ts';
import type { Threads } from '../src/domain/thread.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { startRemoval } from '../src/pipeline/remove-ended.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** A day of runs that come, sleep, are told something, say something, end, and are removed an hour later. */

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const stepMs = 15 * minuteMs;
const hours = 24;
/** From here on as much goes as comes. */
const settledAfterHours = 8;
const runsEachStep = sized({ ci: 3, soak: 40 });
const folder = mkdtempSync(join(tmpdir(), 'strata-steady-'));
let engines: Engines;
let postgres: TestPostgres;
let definition: Definition;

beforeAll(async () => {
  engines = await createEngines();
  postgres = await openTestPostgres();
  const rest = { wait: { minutes: 30 } };
  definition = await engines.read(
    definitionOf([
      { keep: { set: { text: '${ .text }' } } },
      { hear: { listen: { to: { one: { with: { type: 'go' } } } } } },
      { one: rest },
      { two: rest },
      {
        say: {
          emit: {
            event: { with: { source: 'https://test', type: 'done', data: { text: '${ $workflow.id }' } } },
          },
        },
      },
      { three: rest },
    ]),
  );
});
afterAll(async () => {
  await engines.close();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

interface Store {
  readonly journal: Journal;
  rows(): Promise<Record<string, number>>;
  bytes(): Promise<number>;
  close(): Promise<void>;
}

async function openSqlite(): Promise<Store> {
  const path = join(folder, 'journal.sqlite');
  const journal = await openSqliteJournal(path);
  const database = new DatabaseSync(path, { readOnly: true });
  const tables = database.prepare(
    "select name from sqlite_master where type = 'table' and name not like 'sqlite%'",
  );
  return {
    journal,
    async rows() {
      const count = (name: unknown) => Number(database.prepare(`select count(*) as n from ${name}`).get()?.n);
      return Object.fromEntries(tables.all().map(({ name }) => [String(name), count(name)]));
    },
    bytes: async () => statSync(path).size + statSync(`${path}-wal`).size,
    async close() {
      database.close();
      await journal.close();
    },
  };
}

async function openPostgres(): Promise<Store> {
  const url = await postgres.server.createDatabase();
  const journal = await postgres.openJournal(url);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const names = async () =>
    (await client.query("select tablename from pg_tables where schemaname = 'strata_agent'")).rows.map(
      row => `strata_agent.${row.tablename}`,
    );
  return {
    journal,
    async rows() {
      const counts: Record<string, number> = {};
      for (const name of await names())
        counts[name] = Number((await client.query(`select count(*) as n from ${name}`)).rows[0].n);
      return counts;
    },
    async bytes() {
      // The server does this by itself, by a clock that does not run as fast as the one here.
      await client.query('vacuum');
      let bytes = 0;
      for (const name of await names())
        bytes += Number((await client.query('select pg_total_relation_size($1) as n', [name])).rows[0].n);
      return bytes;
    },
    async close() {
      await client.end();
      await journal.close();
    },
  };
}

/** Each wait took exactly as long as it was to take, the last as the first. */
function driftsOf(records: readonly JournalRecord[]): number[] {
  const startedAtMs = new Map<string, number>();
  return records.flatMap(({ event, atMs }) => {
    if (event.type === 'task-started') startedAtMs.set(event.path, atMs);
    if (event.type !== 'task-completed' || !/one|two|three/.test(event.path)) return [];
    return [atMs - (startedAtMs.get(event.path) ?? 0) - 30 * minuteMs];
  });
}

describe.each([
  ['SQLite', openSqlite],
  ['PostgreSQL', openPostgres],
])('%s', (_, open) => {
  test(`[8.4-16] [AG-4] ${hours} h of runs under retention: what is stored stops growing, no timer drifts, no run is left without a lease or a time`, async () => {
    const store = await open();
    const { journal } = store;
    const clock = createManualClock();
    const { hash } = definition.workflow;
    await journal.putDefinition({ hash, document: definition.document }, clock.now());
    const worker = engines.worker({
      journal,
      clock,
      effects: [],
      random: () => 0.5,
      owner: 'steady',
      leaseMs: 2 * hourMs,
      heartbeatMs: hourMs,
      pollMs: 10 * minuteMs,
    });
    const approvals = { over: async () => [], remove: async () => {} };
    const warned: unknown[] = [];
    const log = { warn: (...of: unknown[]) => warned.push(of) };
    const removal = startRemoval({
      journal,
      approvals,
      items: { removeExpired: async () => 0 },
      threads: { unsettled: async () => [] } as unknown as Threads, // there are none
      clock,
      log,
      keepMs: () => hourMs,
      eventRoom: () => ({ most: 100_000, mostBytes: 1e9 }),
    });
    worker.start();
    const ids: string[] = [];
    const isHeld = async (id: string) => {
      const run = await journal.getRun('default', id);
      return run !== undefined && !terminalStatuses.has(run.status) && run.wakeAtMs === undefined;
    };
    const isResting = async () => {
      const nextAtMs = (await journal.nextWakeAt('nobody')) ?? clock.now() + 1;
      if (worker.activeRuns > 0 || nextAtMs <= clock.now()) return false;
      return !(await Promise.all(ids.map(isHeld))).includes(true);
    };
    const settle = async () => {
      for (let tries = 0; !(await isResting()); tries++) {
        if (tries > 20_000) throw new Error('The runs do not come to rest');
        worker.scan();
        await clock.advance(0);
        await sleep(1);
      }
    };
    const drifts: number[] = [];
    const sizes: {
      readonly rows: number;
      readonly bytes: number;
      readonly tables: Record<string, number>;
    }[] = [];
    for (let step = 0; step * stepMs < hours * hourMs; step++) {
      const atMs = clock.now();
      await journal.putDefinition({ hash: `sha256:${step}`, document: '{}' }, atMs);
      for (let count = 0; count < runsEachStep; count++) {
        const id = `run_${String(step * runsEachStep + count).padStart(6, '0')}`;
        const queue = count % 3 === 0 ? { name: `key-${step}`, limit: runsEachStep } : undefined;
        await journal.createRun(runOf(definition, { id, input: { text: id.repeat(2000) }, atMs, queue }));
        const payload = { id: 'go', name: 'go', data: {} };
        await journal.request('default', id, { kind: 'signal', payload, by: 'p', atMs });
        ids.push(id);
      }
      await settle();
      await clock.advance(stepMs);
      await settle();
      for (const id of ids.splice(0)) {
        const run = await journal.getRun('default', id);
        if (run === undefined) continue;
        const isOver = terminalStatuses.has(run.status);
        expect(isOver || (run.wakeAtMs ?? 0) > clock.now(), `${id} is ${run.status}`).toBe(true);
        if (isOver) drifts.push(...driftsOf(await journal.read(id, 0, 1000)));
        else ids.push(id);
      }
      if (clock.now() % hourMs !== 0) continue;
      const tables = await store.rows();
      const rows = Object.values(tables).reduce((sum, each) => sum + each, 0);
      sizes.push({ rows, bytes: await store.bytes(), tables });
    }
    await worker.stop();
    await removal.stop();
    await store.close();

    const [early, late] = [sizes.slice(settledAfterHours - 2, settledAfterHours + 2), sizes.slice(-4)];
    const most = (of: typeof sizes, what: 'rows' | 'bytes') => Math.max(...of.map(each => each[what]));
    console.log(
      `${drifts.length} timers; rows ${most(early, 'rows')} after ${settledAfterHours} h, ${most(late, 'rows')} after ${hours} h; bytes ${most(early, 'bytes')} and ${most(late, 'bytes')}`,
    );
    const shown = JSON.stringify(late.at(-1)?.tables);
    expect(warned).toEqual([]);
    expect(drifts.length).toBeGreaterThan(hours * runsEachStep);
    expect(new Set(drifts)).toEqual(new Set([0]));
    expect(most(late, 'rows'), shown).toBeLessThanOrEqual(most(early, 'rows') * 1.05);
    expect(most(late, 'bytes'), shown).toBeLessThanOrEqual(most(early, 'bytes') * 1.1 + 65_536);
  }, 1_800_000);
});
