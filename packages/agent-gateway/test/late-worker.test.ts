import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { until } from './support/until.ts';

/** Signals that came in time, looked at by a worker that comes after the time is over. */

const minuteMs = 60_000;
const engines = useBothStores();

const hear = (timeout: string) => ({
  hear: { listen: { to: { one: { with: { type: 'go' } } } }, timeout: { after: timeout } },
});

test.each(stores)(
  '[8.4-4] [F77] %s: a signal that came before the deadline is taken by a worker that looks after it; without one the task times out',
  async store => {
    const journal = await engines.openJournal(store);
    const clock = createManualClock();
    const definition = await engines.read(definitionOf([hear('PT10M')]));
    await journal.putDefinition({ hash: definition.workflow.hash, document: definition.document }, 0);
    for (const id of ['run_heard', 'run_unheard'])
      await journal.createRun(runOf(definition, { id, input: {}, atMs: clock.now() }));
    let workers = 0;
    const start = () => {
      const worker = engines.worker({
        ...{ journal, clock, effects: [], random: () => 0.5 },
        owner: `worker-${++workers}`,
        ...{ leaseMs: 15_000, heartbeatMs: 5000, pollMs: 1000 },
      });
      worker.start();
      return worker;
    };
    const reaches = (id: string, status: string) =>
      until(async () => {
        await clock.advance(0);
        return (await journal.getRun('default', id))?.status === status;
      });

    const first = start();
    await reaches('run_heard', 'waiting');
    await reaches('run_unheard', 'waiting');
    await first.stop();
    await clock.advance(9 * minuteMs);
    const payload = { id: 'a', name: 'go', data: { ok: true } };
    await journal.request('default', 'run_heard', { kind: 'signal', payload, by: 'p', atMs: clock.now() });
    await clock.advance(11 * minuteMs);
    const second = start();
    await reaches('run_heard', 'completed');
    await reaches('run_unheard', 'failed');
    await second.stop();

    const kinds = async (id: string) => (await journal.read(id, 0, 1000)).map(({ event }) => event.type);
    expect(await kinds('run_heard')).toContain('event-taken');
    expect(await kinds('run_heard')).not.toContain('task-failed');
    expect(await kinds('run_unheard')).toContain('task-failed');
    await journal.close();
  },
);
