import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import type { CallResult } from '../src/domain/effect.ts';
import { replay } from '../src/domain/replay.ts';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createPace } from './support/pace.ts';

/** Answers of tools that come when the step that asked is over. */

const engines = useBothStores();

const ask = {
  call: 'mcp',
  with: { method: 'tools/call', parameters: { name: 'slow', arguments: {} } },
  timeout: { after: { seconds: 10 } },
};
const document = definitionOf([
  {
    patient: {
      try: [{ ask }],
      catch: {
        errors: { with: { status: 408 } },
        retry: { delay: { seconds: 1 }, limit: { attempt: { count: 2 } } },
      },
    },
  },
]);

test.each(stores)(
  '[F85] %s: mcp-gateway answers after the timeout of the step, while the next attempt waits: the answer is that of nobody',
  async store => {
    const clock = createManualClock();
    const pace = createPace(clock);
    const journal = pace.watch(await engines.openJournal(store));
    const definition = await engines.read(document);
    await journal.putDefinition(
      { hash: definition.workflow.hash, document: definition.document },
      clock.now(),
    );
    await journal.createRun(runOf(definition, { id: 'run_1', input: {}, atMs: clock.now() }));
    const asked: { key: string; answer(text: string): void }[] = [];
    const worker = engines.worker({
      journal,
      clock,
      effects: [
        {
          type: 'mcp',
          // It goes on although it is called off, as a far end does that does not hear of it.
          perform: (_, { idempotencyKey }) =>
            new Promise<CallResult>(resolve => {
              const answer = (text: string) => resolve({ result: { content: [{ type: 'text', text }] } });
              asked.push({ key: idempotencyKey, answer });
            }),
        },
      ],
      random: () => 0.5,
      owner: 'only',
      leaseMs: 60_000,
      heartbeatMs: 20_000,
      pollMs: 500,
    });
    worker.start();
    await pace.until(() => asked.length === 2);
    const before = await journal.read('run_1', 0, 1000);
    asked[0]?.answer('late');
    await pace.pass(1000);
    expect(await journal.read('run_1', 0, 1000)).toEqual(before);
    asked[1]?.answer('in time');
    await pace.until(async () => (await journal.getRun('default', 'run_1'))?.endedAtMs !== undefined);

    const records = await journal.read('run_1', 0, 1000);
    expect(replay(records).output).toMatchObject({ content: [{ text: 'in time' }] });
    expect(records.filter(({ event }) => event.type === 'call-completed')).toHaveLength(1);
    expect(new Set(asked.map(({ key }) => key)).size, 'each attempt of the step has a key of its own').toBe(
      2,
    );
    await worker.stop();
    await journal.close();
  },
);
