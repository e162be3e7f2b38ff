import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { describe, expect, test } from 'vitest';
import { decideAll } from '../src/domain/decide.ts';
import { replay } from '../src/domain/replay.ts';
import type { JournalRecord, RunEvent } from '../src/domain/run-events.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import { stores, useBothStores } from './support/both-stores.ts';
import { type EngineParts, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { mayFollow } from './support/may-follow.ts';
import { until } from './support/until.ts';

/** Runs that one release of the gateway began and another meets. */

const minuteMs = 60_000;
const engines = useBothStores();

const pay = { pay: { call: 'http', with: { method: 'post', endpoint: 'http://far.test/' } } };
const tasks = [{ first: { set: { n: 1 } } }, { rest: { wait: 'PT1S' } }, pay];

/** What an older release does not know: a type of task, or a kind of record. */
const older: Readonly<Record<string, (parts: EngineParts) => EngineParts>> = {
  'a type of task': parts => ({
    ...parts,
    types: new Map([...taskTypes].filter(([type]) => type !== 'wait')),
  }),
  'a kind of record': parts => ({
    ...parts,
    journal: {
      ...parts.journal,
      read: async (...of) => (await parts.journal.read(...of)).map(fromTheFuture),
    },
  }),
};

function fromTheFuture(record: JournalRecord): JournalRecord {
  if (record.event.type !== 'task-completed') return record;
  return {
    ...record,
    event: { ...record.event, type: 'task-teleported' } as unknown as JournalRecord['event'],
  };
}

describe.each(stores)('%s', store => {
  async function open(definition: Definition) {
    const journal = await engines.openJournal(store);
    const clock = createManualClock();
    await journal.putDefinition(
      { hash: definition.workflow.hash, document: definition.document },
      clock.now(),
    );
    await journal.createRun(runOf(definition, { id: 'run_1', input: {}, atMs: clock.now() }));
    let calls = 0;
    let workers = 0;
    const start = (change: (parts: EngineParts) => EngineParts = parts => parts) => {
      const worker = engines.worker(
        change({
          journal,
          clock,
          effects: [
            {
              type: 'http',
              async perform() {
                calls++;
                return { result: { status: 200, isProblem: false, headers: {}, content: {} } };
              },
            },
          ],
          random: () => 0.5,
          owner: `worker-${++workers}`,
          leaseMs: 15_000,
          heartbeatMs: 5000,
          pollMs: 1000,
        }),
      );
      worker.start();
      return worker;
    };
    const run = () => journal.getRun('default', 'run_1');
    const reaches = (status: string) =>
      until(async () => {
        await clock.advance(0);
        return (await run())?.status === status;
      });
    return { journal, clock, start, run, reaches, calls: () => calls };
  }

  test.each(Object.keys(older))(
    '[F80] [AG-3] a release that does not know %s of a run does nothing with it, and looks again until one that does goes on',
    async what => {
      const { journal, clock, start, run, reaches, calls } = await open(
        await engines.read(definitionOf(tasks)),
      );
      const newer = start();
      await reaches('waiting');
      await newer.stop();
      const before = await journal.read('run_1', 0, 1000);

      await clock.advance(minuteMs);
      const old = start(older[what]);
      await reaches('in_doubt');
      expect((await run())?.wakeAtMs).toBe(clock.now() + minuteMs);
      await clock.advance(minuteMs / 2);
      await old.stop();
      expect(await journal.read('run_1', 0, 1000)).toEqual(before);
      expect(calls()).toBe(0);

      await clock.advance(minuteMs);
      const again = start();
      await reaches('completed');
      await again.stop();
      expect(calls()).toBe(1);
      expect((await journal.read('run_1', 0, 1000)).slice(0, before.length)).toEqual(before);
      await journal.close();
    },
  );
});

interface Kept {
  readonly definition: unknown;
  readonly records: readonly JournalRecord[];
  /** Of everything that was decided at every point of it. */
  readonly decisions: string;
}

// Written by release 0.1.0 and never written anew: a release that decides otherwise about runs that are there is not that of its users.
test('[F80] [AG-3] about a run that release 0.1.0 wrote, the same is decided at every point', async () => {
  const file = join(import.meta.dirname, 'fixtures/journal-0.1.0.json');
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept; // of the repository
  const { workflow } = await engines.read(kept.definition);
  const decided: unknown[] = [];
  for (const [index, next] of kept.records.entries()) {
    const before = kept.records[index - 1]?.event;
    if (before === undefined || fromOutside.has(next.event.type) || isSameStep(before, next.event)) continue;
    const options = { workflow, types: taskTypes, nowMs: next.atMs };
    const commands = decideAll(replay(kept.records.slice(0, index)), options);
    expect(
      commands.some(command => mayFollow(command, next.event)),
      `${next.seq}: ${next.event.type}`,
    ).toBe(true);
    decided.push(commands.map(placeOf));
  }
  expect(replay(kept.records)).toMatchObject({ status: 'completed', output: { result: 10 } });
  expect(digestOf(canonicalJson(decided))).toBe(kept.decisions);
});

/** Nobody decided these: they came. */
const fromOutside: ReadonlySet<string> = new Set(['run-started', 'event-received', 'child-ended']);

/** Lists that are opened together, and calls that go out together, are written together. */
function isSameStep(before: RunEvent, event: RunEvent): boolean {
  if (event.type !== 'branch-opened' && event.type !== 'call-started') return false;
  return before.type === event.type && before.path === event.path && before.visit === event.visit;
}

/** What a command is about: not how it is kept in memory. */
function placeOf(command: ReturnType<typeof decideAll>[number]): string {
  switch (command.type) {
    case 'begin':
      return `begin ${command.node.path}#${command.visit}`;
    case 'complete':
      return `complete ${command.task.node.path}#${command.task.visit} then ${command.next}`;
    case 'record':
      return `record ${command.events.map(event => canonicalJson(event)).join()}`;
    case 'reserve':
      return `reserve ${command.path} ${command.least}`;
    case 'wait':
      return `wait ${command.untilMs}`;
    case 'stop':
      return 'stop';
    case 'call':
      return `call ${command.task.path} ${command.start.map(({ call, attempt }) => `${call.id}:${attempt}`)}`;
    default:
      return `${command.type} ${command.task.path}#${command.task.visit}`;
  }
}
