import { allScopes } from '@strata/shared/identity/scopes.ts';
import { newId } from '@strata/shared/ids.ts';
import { openOwnTables } from '@strata/shared/stores/own-tables.ts';
import type { SharedSchema } from '@strata/shared/stores/shared-schema.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import type { Thread, Threads } from '../src/domain/thread.ts';
import { settleThread } from '../src/pipeline/settle-thread.ts';
import { submitInThread } from '../src/pipeline/submit-in-thread.ts';
import type { Submission } from '../src/pipeline/submit-run.ts';
import { type ThreadSchema, threadMigrations } from '../src/store/thread-schema.ts';
import { createThreads } from '../src/store/threads.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createMemoryJournal } from './support/memory-journal.ts';

/** A thread is taken before its run is in the journal: what is in between, however long that is. */

let deps: TestDeps;
let engines: Engines;
let threads: Threads;
beforeAll(async () => {
  deps = await createTestDeps({ name: 'agent-gateway' });
  engines = await createEngines();
  threads = createThreads(
    await openOwnTables<ThreadSchema, SharedSchema>(deps.sql, [threadMigrations], deps.clock),
  );
});
afterAll(async () => {
  await engines.close();
  await deps.close();
});

async function open(atMs: number, run?: string): Promise<Thread> {
  const thread: Thread = {
    id: newId('thread', atMs),
    tenant: 'default',
    namespace: 'default',
    principal: 'tester',
    revision: 1,
    run,
    runs: run === undefined ? [] : [run],
    metadata: {},
    context: null,
    createdAtMs: atMs,
    updatedAtMs: atMs,
  };
  await threads.create(thread);
  return thread;
}

test('a thread whose run never came is free after a minute, however often somebody changes its metadata', async () => {
  const clock = createManualClock();
  const journal = createMemoryJournal();
  let thread = await open(clock.now(), newId('run', clock.now()));
  for (let seconds = 0; seconds < 59; seconds += 10) {
    thread = await settleThread(thread, { threads, journal, clock });
    expect(thread.run).toBeDefined();
    await clock.advance(10_000);
    thread = (await threads.change({ ...thread, metadata: { seconds } }, clock.now())) ?? thread;
  }
  expect((await settleThread(thread, { threads, journal, clock })).run).toBeUndefined();
});

/** A thread that was taken for a submission whose run is not in the journal before `write` is called. */
async function openTaken() {
  const clock = createManualClock();
  const memory = createMemoryJournal();
  const definition = await engines.read(definitionOf([{ one: { set: { a: 1 } } }]));
  const { limits } = runOf(definition, { id: 'run_1', input: {}, atMs: 0 }).event;
  const arrived = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  let looks = 0;
  const journal: Journal = {
    ...memory,
    async createRun(run) {
      arrived.resolve();
      await written.promise;
      return memory.createRun(run);
    },
    getRun(tenant, id) {
      looks++;
      return memory.getRun(tenant, id);
    },
    listRuns(filter) {
      looks++;
      return memory.listRuns(filter);
    },
  };
  const { id } = await open(clock.now());
  const submit = (idempotencyKey: string | undefined) =>
    submitInThread(
      { ...definition, ...submission, idempotencyKey },
      {
        find: async () => (await threads.get('default', id)) as Thread, // it was made above
        signal: new AbortController().signal,
      },
      {
        journal,
        threads,
        clock,
        policy: { require: () => {} },
        expressions: { evaluate: async () => null },
        limits: () => limits,
        createRun: run => journal.createRun(run),
        onCreated: () => {},
      },
    );
  const first = submit('once');
  await arrived.promise;
  return { clock, submit, first, write: written.resolve, looks: () => looks };
}

const submission: Omit<Submission, 'workflow' | 'document' | 'idempotencyKey'> = {
  input: {},
  digest: 'of it',
  caller: {
    tenant: 'default',
    principal: 'tester',
    principalKind: 'user',
    keyId: undefined,
    team: 'team',
    project: 'project',
    tags: [],
    roles: [],
    isAdmin: false,
    scopes: allScopes,
    envelope: undefined,
  },
  trace: { traceId: '0'.repeat(31).concat('1'), spanId: '0'.repeat(15).concat('1'), traceFlags: 1 },
};

test('a submission that is repeated while its run is on its way into the journal waits for that run', async () => {
  const { clock, submit, first, write, looks } = await openTaken();
  const second = submit('once');
  const startedAtMs = clock.monotonic();
  while (clock.monotonic() - startedAtMs < 8000) {
    await Promise.race([clock.pendingReached(1), second]);
    await clock.advanceToNext();
  }
  expect(looks(), 'it looks ever more rarely').toBeLessThan(30);
  write();
  const { run } = await first;
  await clock.advance(2000);
  expect(await second).toMatchObject({ isNew: false, run: { id: run.id } });
});

test('a repeated submission whose run does not come is told that the thread is busy', async () => {
  const { clock, submit, first, write } = await openTaken();
  const second = submit('once').catch((error: unknown) => error);
  let isOver = false;
  void second.then(() => {
    isOver = true;
  });
  while (!isOver) {
    await Promise.race([clock.pendingReached(1), second]);
    if (!isOver) await clock.advanceToNext();
  }
  expect(await second).toMatchObject({ reason: 'thread_is_busy' });
  write();
  await first;
});

test.each([
  ['another key', 'other'],
  ['no key', undefined],
])('a submission with %s does not wait for the run of a thread that was taken', async (_name, key) => {
  const { clock, submit, first, write } = await openTaken();
  await expect(submit(key)).rejects.toMatchObject({ reason: 'thread_is_busy' });
  expect(clock.pending).toBe(0);
  write();
  await first;
});
