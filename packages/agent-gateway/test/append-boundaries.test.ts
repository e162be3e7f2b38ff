import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '@strata/shared/clock.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import { replay } from '../src/domain/replay.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { countedEffect, EffectLog, finishedKeys } from './support/counted-effect.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** A worker that dies at each append in turn, just before it is written or just after, and another that goes on. */

let engines: Engines;
let definition: Definition;
let child: Definition;
let postgres: TestPostgres;
const folder = mkdtempSync(join(tmpdir(), 'strata-boundaries-'));

beforeAll(async () => {
  engines = await createEngines();
  postgres = await openTestPostgres();
  child = await engines.read({
    document: { dsl: '1.0.3', namespace: 'test', name: 'child', version: '1.0.0' },
    do: [{ sub: effect('${ .n }') }],
  });
  definition = await engines.read(definitionOf(tasks));
});
afterAll(async () => {
  await engines.close();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

const repeatable = { metadata: { gateway: { onInDoubt: 'retry' } } };
const effect = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: 'http://far.test/', body: { n } },
  ...repeatable,
});

const tasks = [
  { first: { set: { n: '${ .n }' } } },
  { one: effect('${ .n }') },
  { which: { switch: [{ big: { when: '${ .doubled > 1 }', then: 'both' } }, { small: { then: 'end' } }] } },
  { both: { fork: { branches: [{ left: effect('${ .doubled }') }, { right: effect('${ .doubled }') }] } } },
  {
    race: {
      fork: { compete: true, branches: [{ fast: { set: { pair: '${ . }' } } }, { slow: { wait: 'PT1H' } }] },
    },
  },
  {
    map: {
      for: { each: 'item', in: '.pair' },
      do: [
        { again: effect('${ $item.doubled }') },
        { nested: { do: [{ keep: { set: { doubled: '${ .doubled }' } } }] } },
      ],
      metadata: { gateway: { concurrency: 2 } },
    },
  },
  {
    loop: {
      for: { each: 'turn', in: '[1, 2]' },
      do: [{ pass: { set: { list: '${ if type == "object" then .list else . end }' } } }],
    },
  },
  {
    saga: {
      try: [
        {
          reserve: {
            ...effect('${ .list[0].doubled }'),
            metadata: { gateway: { onInDoubt: 'retry', compensate: effect('${ .input.list[0].doubled }') } },
          },
        },
        { fails: { raise: { error: { type: 'https://x.test/e', status: 503, title: 'E' } } } },
      ],
      catch: {
        retry: { delay: { milliseconds: 1 }, limit: { attempt: { count: 1 } } },
        do: [{ caught: { set: { n: '${ .list[0].doubled }' } } }],
      },
    },
  },
  {
    tell: { emit: { event: { with: { source: 'https://x.test/', type: 'told', data: { n: '${ .n }' } } } } },
  },
  { hear: { listen: { to: { one: { with: { type: 'told' } } } } } },
  { pause: { wait: { milliseconds: 1 } } },
  { tool: { call: 'mcp', with: { method: 'tools/list' } } },
  { sub: { run: { workflow: { namespace: 'test', name: 'child', version: '1.0.0', input: { n: 5 } } } } },
  { last: { set: { result: '${ .doubled }' } } },
];

/** However it ends: a run that fails shows its error in what is compared. */
const last = new Set(['run-completed', 'run-failed', 'run-paused', 'call-parked']);

const forever = new Promise<never>(() => {});

/** Dies at the append of this number: before it is written, or after, when nobody hears of it any more. */
function dyingJournal(journal: Journal, { at, isWritten }: { at: number; isWritten: boolean }) {
  let appends = 0;
  let isDead = false;
  const died = Promise.withResolvers<void>();
  const die = (): Promise<never> => {
    isDead = true;
    died.resolve();
    return forever;
  };
  const wrapped = new Proxy(journal, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      if (typeof value !== 'function' || name === 'onAppend' || name === 'onDue') return value;
      return async (...values: unknown[]) => {
        if (isDead) return forever;
        const isLast = name === 'append' && ++appends === at;
        if (isLast && !isWritten) return die();
        const result = await value.apply(target, values);
        return isLast ? die() : result;
      };
    },
  });
  return { journal: wrapped, died: died.promise, count: () => appends };
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

async function scenario(journal: Journal, death: { at: number; isWritten: boolean }) {
  const clock = shiftedClock();
  const finished = new Set<string>();
  const log = new EffectLog(key => finished.has(key));
  const ended = Promise.withResolvers<void>();
  const id = `run_${death.at}_${death.isWritten}`;
  const effects = [
    countedEffect('http', log, async request => {
      const { n } = (request as { body: { n: number } }).body;
      return { result: { status: 200, isProblem: false, headers: {}, content: { doubled: n * 2 } } };
    }),
    countedEffect('mcp', log, async () => ({ result: { tools: [] } })),
  ];
  const stopListening = journal.onAppend(runId => {
    void (async () => {
      const records = await journal.read(runId, 0, 10_000);
      for (const key of finishedKeys(records)) finished.add(key);
      if (runId === id && last.has(records.at(-1)?.event.type ?? '')) ended.resolve();
    })();
  });
  for (const { workflow, document } of [definition, child]) {
    const { hash, namespace, name, version } = workflow;
    await journal.putDefinition({ hash, document }, 0);
    await journal.putWorkflow(
      'default',
      { namespace, name, version, definition: hash, createdAtMs: 0 },
      { most: 10 },
    );
  }
  await journal.createRun(runOf(definition, { id, input: { n: 1 }, atMs: clock.now() }));
  const start = (owner: string, on: Journal) => {
    const options = { leaseMs: 15_000, heartbeatMs: 5000, pollMs: 20 };
    const worker = engines.worker({ journal: on, clock, effects, random: Math.random, owner, ...options });
    worker.start();
    return worker;
  };
  const dying = dyingJournal(journal, death);
  const first = start('first', dying.journal);
  await Promise.race([dying.died, ended.promise]);
  clock.shift(20_000); // its lease has passed
  const second = start('second', journal);
  await ended.promise;
  await second.stop();
  void first.stop();
  stopListening();
  const records = await journal.read(id, 0, 10_000);
  return { records, log, appends: dying.count() };
}

async function everyBoundary(journal: Journal): Promise<void> {
  const clean = await scenario(journal, { at: Number.POSITIVE_INFINITY, isWritten: true });
  const cleanState = replay(clean.records);
  const expected = cleanState.output;
  expect(expected, JSON.stringify([cleanState.error, cleanState.pause])).toEqual({ result: 10 });
  expect(clean.appends).toBeGreaterThan(10);
  for (let at = 1; at <= clean.appends; at++) {
    for (const isWritten of [false, true]) {
      const { records, log } = await scenario(journal, { at, isWritten });
      const where = `append ${at}, ${isWritten ? 'after' : 'before'}`;
      expect(replay(records).output, where).toEqual(expected);
      expect(log.violations, where).toEqual([]);
      const doubts = records.filter(({ event }) => event.type === 'call-in-doubt').length;
      const starts = records.filter(({ event }) => event.type === 'call-started').length;
      const ends = records.filter(({ event }) => event.type === 'call-completed').length;
      expect(starts - ends, where).toBe(doubts);
    }
  }
  await journal.close();
}

test('[AG-1] [AG-4] SQLite: a worker dies at every append boundary, before and after: the result is exact, nothing finished runs again', async () => {
  await everyBoundary(await openSqliteJournal(join(folder, 'journal.sqlite')));
}, 300_000);

test('[AG-1] [AG-4] PostgreSQL: a worker dies at every append boundary, before and after: the result is exact, nothing finished runs again', async () => {
  await everyBoundary(await postgres.openJournal());
}, 300_000);
