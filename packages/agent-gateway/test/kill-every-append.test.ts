import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Clock, systemClock } from '@strata/shared/clock.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import { replay } from '../src/domain/replay.ts';
import type { JournalRecord } from '../src/domain/run-events.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import type { Death, DyingWorkerPlace } from './support/dying-worker.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import {
  answerOf,
  decisionOf,
  effectsTo,
  everyTask,
  everyTaskChild,
  everyTaskOutput,
} from './support/every-task.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/**
 * A worker process is killed (SIGKILL) at an append or a release of a run of two hundred tasks, before it is written or after, and
 * another worker goes on with what is on disk. CI takes some of the boundaries, `pnpm soak` every one.
 */

const boundariesOfCi = 5;
const isEvery = sized({ ci: 0, soak: 1 }) === 1;
const seed = Number(process.env.STRATA_KILL_SEED ?? Date.now() % 1_000_000);
const program = join(import.meta.dirname, 'support/dying-worker.ts');
const folder = mkdtempSync(join(tmpdir(), 'strata-kill-append-'));
let engines: Engines;
let definitions: Definition[];
let postgres: TestPostgres;
let farEnd: FarEnd;

beforeAll(async () => {
  engines = await createEngines();
  definitions = await Promise.all([everyTask, everyTaskChild].map(document => engines.read(document)));
  postgres = await openTestPostgres();
  farEnd = await startFarEnd();
});
afterAll(async () => {
  farEnd.close();
  await engines.close();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

interface FarEnd {
  readonly url: string;
  /** Requests by the key of their effect. */
  readonly times: Map<string, number>;
  /** Where people answer. */
  journal: Journal | undefined;
  take(asked: { type: string; request: unknown; runId: string; key: string }): Promise<unknown>;
  close(): void;
}

async function startFarEnd(): Promise<FarEnd> {
  const server: Server = createServer((request, response) => {
    void (async () => {
      const asked = JSON.parse(await text(request)) as Parameters<FarEnd['take']>[0]; // from `dying-worker.ts`
      response.end(JSON.stringify(await far.take(asked)));
    })().catch(() => response.destroy()); // the one who asked is dead
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const far: FarEnd = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, // it listens
    times: new Map(),
    journal: undefined,
    async take({ type, request, runId, key }) {
      far.times.set(key, (far.times.get(key) ?? 0) + 1);
      const answer = answerOf(type, request, key);
      if (type !== 'human') return answer;
      const { approval } = answer as { approval: string }; // of the far end of people
      const payload = decisionOf(approval);
      await far.journal?.request('default', runId, { kind: 'signal', payload, by: 'lead', atMs: 0 });
      return answer;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return far;
}

function startChild(place: DyingWorkerPlace): { child: ChildProcess; ready: Promise<unknown> } {
  const child = spawn(process.execPath, [program, JSON.stringify(place)], {
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return { child, ready: once(child, 'message') };
}

function shiftedClock(): Clock & { shift(ms: number): void } {
  let offsetMs = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + offsetMs,
    shift: ms => {
      offsetMs += ms;
    },
  };
}

const ends = new Set(['run-completed', 'run-failed', 'run-paused']);
const resolution = {
  action: 'complete',
  result: { status: 200, isProblem: false, headers: {}, content: { doubled: 14 } },
};

/** Resolves when the run has ended. What is parked on the way is resolved, as an operator does. */
async function untilEnd(journal: Journal, runId: string): Promise<JournalRecord[]> {
  const end = Promise.withResolvers<JournalRecord[]>();
  let seen = 0;
  const look = async (changed: string) => {
    if (changed !== runId) return;
    const records = await journal.read(runId, 0, 10_000);
    for (const { event } of records.slice(seen)) {
      if (event.type !== 'call-parked') continue;
      const payload = { task: event.path, call: event.call, resolution };
      await journal.request('default', runId, { kind: 'resolve', payload, by: 'op', atMs: 0 });
    }
    seen = Math.max(seen, records.length);
    if (ends.has(records.at(-1)?.event.type ?? '')) end.resolve(records);
  };
  const stop = journal.onAppend(changed => void look(changed));
  await look(runId);
  return end.promise.finally(stop);
}

interface Store {
  readonly journal: Journal;
  readonly place: DyingWorkerPlace;
}

/** Goes on with the run in this process, at a time at which the lease of the dead one is over. */
async function finish(
  { journal }: Store,
  runId: string,
  counted: Journal = journal,
): Promise<JournalRecord[]> {
  const clock = shiftedClock();
  clock.shift(20_000);
  const worker = engines.worker({
    journal: counted,
    clock,
    effects: effectsTo((type, request, of) => farEnd.take({ type, request, ...of })),
    random: Math.random,
    owner: `second-${runId}`,
    leaseMs: 15_000,
    heartbeatMs: 5000,
    pollMs: 20,
  });
  const end = untilEnd(journal, runId);
  worker.start();
  const records = await end;
  await worker.stop();
  return records;
}

async function createRun(journal: Journal, runId: string): Promise<void> {
  const [definition] = definitions;
  if (definition === undefined) throw new Error('No definition');
  await journal.createRun(runOf(definition, { id: runId, input: {}, atMs: systemClock.now() }));
}

/** How many boundaries a run has that nobody disturbs. */
async function countBoundaries(store: Store): Promise<number> {
  const { journal } = store;
  for (const { workflow, document } of definitions) {
    const { hash, namespace, name, version } = workflow;
    await journal.putDefinition({ hash, document }, 0);
    await journal.putWorkflow(
      'default',
      { namespace, name, version, definition: hash, createdAtMs: 0 },
      { most: 10 },
    );
  }
  let boundaries = 0;
  const count = <Value>(value: Value) => {
    boundaries++;
    return value;
  };
  const counted: Journal = {
    ...journal,
    append: append => journal.append(append).then(count),
    release: (claim, options) => journal.release(claim, options).then(count),
  };
  await createRun(journal, 'run_clean');
  const records = await finish(store, 'run_clean', counted);
  expect(replay(records).output, JSON.stringify(records.at(-1))).toEqual(everyTaskOutput);
  const began = records.filter(({ event }) => event.type === 'task-started');
  expect(began.length).toBeGreaterThanOrEqual(200);
  const used = new Set(
    began.map(({ event }) => ('path' in event ? definitions[0]?.workflow.tasks.get(event.path)?.type : '')),
  );
  expect([...taskTypes.keys()].filter(type => !used.has(type))).toEqual([]);
  return boundaries;
}

/** Every effect was asked for once, and once more for each time that its worker died with it on the way; what could do harm only once. */
function problemsOf(records: readonly JournalRecord[]): string[] {
  const problems: string[] = [];
  const finished = new Set<string>();
  const starts = new Map<string, { key: string; label: string; times: number; doubts: number }>();
  for (const { event } of records) {
    if (!('call' in event)) continue;
    const name = `${event.path}#${event.visit}:${event.call}`;
    if (event.type === 'call-started') {
      if (finished.has(name)) problems.push(`${name} began after it had completed`);
      const known = starts.get(name) ?? { key: event.key, label: event.label, times: 0, doubts: 0 };
      starts.set(name, { ...known, times: known.times + 1 });
    }
    if (event.type === 'call-completed' && finished.has(name)) problems.push(`${name} completed twice`);
    if (event.type === 'call-completed') finished.add(name);
    const known = starts.get(name);
    if (event.type === 'call-in-doubt' && known !== undefined) known.doubts++;
  }
  for (const [name, { key, times, doubts }] of starts) {
    const asked = farEnd.times.get(key) ?? 0;
    const isHarmful = name.includes('/harm#');
    if (isHarmful ? times !== 1 || asked > 1 : times !== 1 + doubts)
      problems.push(`${name} began ${times} times with ${doubts} doubts`);
    if (asked > times || asked < times - doubts)
      problems.push(`${name} was asked ${asked} times of ${times}`);
  }
  return problems;
}

/** The run and those that it started: what became of each is in its own journal. */
async function withChildren(
  journal: Journal,
  records: readonly JournalRecord[],
): Promise<readonly (readonly JournalRecord[])[]> {
  const children = records.flatMap(({ event }) => (event.type === 'child-started' ? [event.runId] : []));
  return [records, ...(await Promise.all(children.map(id => journal.read(id, 0, 10_000))))];
}

const visitsOf = (records: readonly JournalRecord[], type: string) =>
  records.flatMap(({ event }) =>
    event.type === type && 'path' in event ? [`${event.path}#${event.visit}`] : [],
  );

async function everyBoundary(store: Store): Promise<void> {
  farEnd.journal = store.journal;
  const boundaries = await countBoundaries(store);
  const all = Array.from({ length: boundaries }, (_, index) => index + 1).flatMap(at => [
    { at, isWritten: false },
    { at, isWritten: true },
  ]);
  const random = seededRandom(seed);
  const deaths = isEvery
    ? all
    : Array.from({ length: boundariesOfCi }, () => all[Math.floor(random() * all.length)]);
  let next = startChild(store.place);
  let died = 0;
  for (const death of deaths as Death[]) {
    const runId = `run_${store.place.sqlite === undefined ? 'p' : 's'}_${death.at}_${death.isWritten}_${died}`;
    const { child, ready } = next;
    await ready;
    next = startChild(store.place); // while this one works
    await createRun(store.journal, runId);
    const end = untilEnd(store.journal, runId);
    const exit = once(child, 'exit');
    child.send(death);
    const [, signal] = await Promise.race([exit, end.then(() => [0, 'ended'])]);
    const where = `seed ${seed}, boundary ${death.at} of ${boundaries}, ${death.isWritten ? 'after' : 'before'}`;
    if (signal === 'SIGKILL') died++;
    else child.disconnect(); // its calls came together in other groups: the run had fewer boundaries
    const records = await finish(store, runId);
    expect(replay(records).output, `${where}: ${JSON.stringify(records.at(-1))}`).toEqual(everyTaskOutput);
    const runs = await withChildren(store.journal, records);
    expect(runs, where).toHaveLength(2);
    for (const each of runs) {
      expect(replay(each).status, where).toBe('completed');
      expect(problemsOf(each), where).toEqual([]);
      const completed = visitsOf(each, 'task-completed');
      expect(new Set(completed).size, where).toBe(completed.length);
    }
  }
  next.child.disconnect();
  expect(died).toBeGreaterThan(deaths.length * 0.8);
}

test(`[8.4-1] [AG-1] [AG-4] [F70] SQLite: a process is killed at ${isEvery ? 'every boundary' : 'some boundaries'} of a run of 200 tasks of every type: exact result, nothing finished runs again, every effect once or in doubt (seed ${seed})`, async () => {
  const sqlite = join(folder, 'journal.sqlite');
  const journal = await openSqliteJournal(sqlite);
  await everyBoundary({ journal, place: { sqlite, far: farEnd.url } });
  await journal.close();
}, 3_600_000);

test(`[8.4-1] [AG-1] [AG-4] [F70] PostgreSQL: a process is killed at ${isEvery ? 'every boundary' : 'some boundaries'} of a run of 200 tasks of every type: exact result, nothing finished runs again, every effect once or in doubt (seed ${seed})`, async () => {
  const url = await postgres.server.createDatabase();
  const journal = await postgres.openJournal(url);
  await everyBoundary({ journal, place: { postgres: url, far: farEnd.url } });
  await journal.close();
}, 3_600_000);
