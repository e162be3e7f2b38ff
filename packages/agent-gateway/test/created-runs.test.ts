import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { describe, expect, test } from 'vitest';
import type { NewRun } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { until } from './support/until.ts';

/** Runs that a process with a worker makes: it drives them from the moment that they are made, if it may. */

const leaseMs = 15_000;
const engines = useBothStores();
const act = { act: { call: 'http', with: { method: 'get', endpoint: 'http://far.test/' } } };

describe.each(stores)('%s', store => {
  async function open() {
    const journal = await engines.openJournal(store);
    const clock = createManualClock();
    const definition = await engines.read(definitionOf([act]));
    await journal.putDefinition({ hash: definition.workflow.hash, document: definition.document }, 0);
    const calls: string[] = [];
    const answers: (() => void)[] = [];
    const start = ({
      seen = journal,
      places = 100,
      owner = 'first',
      isHeld = false,
    }: {
      seen?: Journal;
      places?: number;
      owner?: string;
      isHeld?: boolean;
    }) => {
      const worker = engines.worker({
        ...{ journal: seen, clock, random: () => 0.5, owner, leaseMs },
        ...{ heartbeatMs: 5000, pollMs: 1000, maxActiveRuns: places },
        effects: [
          {
            type: 'http',
            async perform(_, { runId }) {
              calls.push(runId);
              if (isHeld) await new Promise<void>(resolve => answers.push(resolve));
              return { result: { status: 200, isProblem: false, headers: {}, content: {} } };
            },
          },
        ],
      });
      worker.start();
      return worker;
    };
    const run = (id: string): NewRun => runOf(definition, { id, input: {}, atMs: clock.now() });
    const statusOf = async (id: string) => (await journal.getRun('default', id))?.status;
    const ends = (id: string) =>
      until(async () => {
        await clock.advance(100);
        return (await statusOf(id)) === 'completed';
      });
    return { journal, clock, calls, answers, start, run, statusOf, ends };
  }

  /** Says which runs were found by looking for them, and when a look has been taken. */
  function watched(journal: Journal) {
    const found: string[] = [];
    const read: string[] = [];
    let looks = 0;
    const seen: Journal = {
      ...journal,
      read(runId, ...page) {
        read.push(runId);
        return journal.read(runId, ...page);
      },
      async claim(options) {
        const claims = await journal.claim(options);
        found.push(...claims.map(({ runId }) => runId));
        looks++;
        return claims;
      },
    };
    return { seen, found, read, looks: () => looks };
  }

  /** Makes runs, and says so only when it is let. */
  function slowToCreate(journal: Journal) {
    const holds: (() => void)[] = [];
    const slow: Journal = {
      ...journal,
      async createRun(...given) {
        const made = await journal.createRun(...given);
        await new Promise<void>(resolve => holds.push(resolve));
        return made;
      },
    };
    return { slow, holds };
  }

  test('a run begins where it is made, without being looked for or read, and once for its key', async () => {
    const { journal, start, run, ends, calls } = await open();
    const { seen, found, read, looks } = watched(journal);
    const worker = start({ seen });
    await until(() => looks() > 0);
    const keyed = { ...run('run_1'), idempotencyKey: 'k' };
    const made = await worker.create(keyed);
    const again = await worker.create({ ...keyed, id: 'run_2' });
    expect([made.isNew, again.isNew, again.run.id]).toEqual([true, false, 'run_1']);
    await ends('run_1');
    expect([found, read]).toEqual([[], []]);
    expect(calls).toEqual(['run_1']);
    await worker.stop();
    await journal.close();
  });

  test('[AG-4] what is asked of a run before its worker has heard that it is made is answered at once', async () => {
    const { journal, start, run, statusOf, answers, calls } = await open();
    const { seen, looks } = watched(journal);
    const { slow, holds } = slowToCreate(seen);
    const worker = start({ seen: slow, isHeld: true });
    await until(() => looks() > 0);
    const made = worker.create(run('run_1'));
    await until(() => holds.length === 1);
    await journal.request('default', 'run_1', { kind: 'cancel', payload: {}, by: 'tester', atMs: 0 });
    worker.ask('run_1');
    holds[0]?.();
    await made;
    await until(async () => (await statusOf('run_1')) === 'cancelled' || calls.length > 0);
    for (const answer of answers) answer();
    await until(async () => (await statusOf('run_1')) === 'cancelled');
    await worker.stop();
    await journal.close();
  });

  test('what is asked of a run that is not being made is not remembered for one that is', async () => {
    const { journal, start, run, ends } = await open();
    const { seen, looks } = watched(journal);
    const holds: (() => void)[] = [];
    const inboxes: string[] = [];
    const slow: Journal = {
      ...seen,
      async createRun(...given) {
        const made = await journal.createRun(...given);
        if (given[0].id === 'run_1') await new Promise<void>(resolve => holds.push(resolve));
        return made;
      },
      requests(runId) {
        inboxes.push(runId);
        return journal.requests(runId);
      },
    };
    const worker = start({ seen: slow });
    await until(() => looks() > 0);
    const made = worker.create(run('run_1'));
    await until(() => holds.length === 1);
    const before = looks();
    worker.ask('run_2');
    await until(() => looks() > before);
    await worker.create(run('run_2'));
    holds[0]?.();
    await made;
    for (const id of ['run_1', 'run_2']) await ends(id);
    expect(inboxes).toEqual([]);
    await worker.stop();
    await journal.close();
  });

  test('[AG-7] a worker takes no more than it has places, and what it made besides goes in as others end, those first that came first', async () => {
    const { journal, start, run, ends, calls, answers } = await open();
    const { seen, looks } = watched(journal);
    const worker = start({ seen, places: 2, isHeld: true });
    await until(() => looks() > 0);
    await Promise.all(['run_1', 'run_2', 'run_3', 'run_4'].map(id => worker.create(run(id))));
    await until(() => calls.length === 2);
    expect(worker.activeRuns).toBe(2);
    answers.shift()?.();
    await worker.create(run('run_5'));
    await until(() => calls.length === 3);
    expect(calls).not.toContain('run_5');
    while (calls.length < 5) {
      answers.shift()?.();
      const before = calls.length;
      await until(() => calls.length > before);
      expect(worker.activeRuns).toBeLessThanOrEqual(2);
    }
    for (const answer of answers) answer();
    for (const id of ['run_1', 'run_2', 'run_3', 'run_4', 'run_5']) await ends(id);
    expect(calls.toSorted()).toEqual(['run_1', 'run_2', 'run_3', 'run_4', 'run_5']);
    await worker.stop();
    await journal.close();
  });

  test('[AG-4] a process dies before it has heard that the run is made: another one drives it when the lease has passed', async () => {
    const { journal, clock, start, run, ends, calls } = await open();
    const { seen, looks } = watched(journal);
    let isDead = false;
    const forever = new Promise<never>(() => {});
    const deaf: Journal = {
      ...seen,
      async createRun(...made) {
        isDead = true;
        await journal.createRun(...made);
        return forever;
      },
      claim: options => (isDead ? forever : seen.claim(options)),
    };
    const dead = start({ seen: deaf });
    await until(() => looks() > 0);
    void dead.create(run('run_1'));
    await until(async () => (await journal.getRun('default', 'run_1')) !== undefined);
    const other = start({ owner: 'second' });
    await clock.advance(leaseMs - 1);
    expect(calls).toEqual([]);
    await clock.advance(2000);
    await ends('run_1');
    expect(calls).toEqual(['run_1']);
    await other.stop();
    await journal.close();
  });

  test('[AG-4] a worker that stops lets go of a run that is being made: it is due at once, not when the lease has passed', async () => {
    const { journal, start, run, ends, calls } = await open();
    const { seen, looks } = watched(journal);
    const { slow, holds } = slowToCreate(seen);
    const worker = start({ seen: slow });
    await until(() => looks() > 0);
    const made = worker.create(run('run_1'));
    await until(() => holds.length === 1);
    const stopped = worker.stop();
    holds[0]?.();
    await made;
    await stopped;
    expect(calls).toEqual([]);
    const other = start({ owner: 'second' });
    await ends('run_1');
    await other.stop();
    await journal.close();
  });
});
