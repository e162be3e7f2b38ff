import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import type { TaskType } from '../src/domain/task-type.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { until } from './support/until.ts';

/** A task type with a defect. */

const engines = useBothStores();

test.each(stores)(
  '%s: a run whose next step cannot be decided is paused with an error, and goes on when it is resumed',
  async store => {
    const journal = await engines.openJournal(store);
    const clock = createManualClock();
    const definition = await engines.read(definitionOf([{ keep: { set: { done: true } } }]));
    await journal.putDefinition({ hash: definition.workflow.hash, document: definition.document }, 0);
    await journal.createRun(runOf(definition, { id: 'run_a', input: {}, atMs: clock.now() }));
    let isBroken = true;
    const set = taskTypes.get('set') as TaskType; // it is there
    const plan: TaskType['plan'] = view => {
      if (isBroken) throw new TypeError('undefined is not a function');
      return set.plan(view);
    };
    const worker = engines.worker({
      ...{ journal, clock, effects: [], random: () => 0.5, owner: 'worker' },
      types: new Map([...taskTypes, ['set', { ...set, plan }]]),
      ...{ leaseMs: 15_000, heartbeatMs: 5000, pollMs: 1000 },
    });
    worker.start();
    const reaches = (status: string) =>
      until(async () => {
        await clock.advance(0);
        return (await journal.getRun('default', 'run_a'))?.status === status;
      });
    await reaches('paused');
    const records = await journal.read('run_a', 0, 1000);
    expect(records.at(-1)?.event).toMatchObject({
      type: 'run-paused',
      error: { status: 500, instance: '/do/0/keep' },
    });
    isBroken = false;
    await journal.request('default', 'run_a', { kind: 'resume', payload: {}, by: 'p', atMs: clock.now() });
    worker.ask('run_a');
    await reaches('completed');
    await worker.stop();
    await journal.close();
  },
);
