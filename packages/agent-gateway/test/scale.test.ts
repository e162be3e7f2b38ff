import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '@strata/shared/clock.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { describe, expect, test } from 'vitest';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';

/** What a task costs in a long run, and a run among many that sleep: the same as the first, in time and in memory. */

const tasks = sized({ ci: 2000, soak: 10_000 });
const sleepers = sized({ ci: 1000, soak: 100_000 });
/** Submitted at a time: more would wait for a connection longer than they may. */
const together = 40;
/** With the expressions of the gateway: real jq for each would take longer than all else. */
const engines = useBothStores({ jq: 'in threads' });

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void; // what the flag gives

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

describe.each(stores)('%s', store => {
  async function open(document: unknown) {
    const journal = await engines.openJournal(store);
    const definition = await engines.read(document);
    await journal.putDefinition(
      { hash: definition.workflow.hash, document: definition.document },
      systemClock.now(),
    );
    let calls = 0;
    const marks: { readonly calls: number; readonly cpuMs: number }[] = [];
    const worker = engines.worker({
      journal,
      clock: systemClock,
      effects: [
        {
          type: 'http',
          async perform() {
            if (++calls % 100 === 0) marks.push({ calls, cpuMs: cpuMs() });
            return { result: { status: 200, isProblem: false, headers: {}, content: { ok: true } } };
          },
        },
      ],
      random: Math.random,
      owner: 'scale',
      leaseMs: 60_000,
      heartbeatMs: 5000,
      pollMs: 500,
    });
    const start = (id: string, input: unknown) =>
      worker.create(runOf(definition, { id, input, atMs: systemClock.now() }));
    const statusOf = async (id: string) => (await journal.getRun('default', id))?.status;
    return { journal, worker, start, statusOf, marks };
  }

  test(`a task of a run of ${tasks} costs what its first ones cost`, async () => {
    const { journal, worker, start, statusOf, marks } = await open(
      definitionOf([
        {
          each: {
            for: { each: 'item', in: '.items' },
            do: [{ act: { call: 'http', with: { method: 'get', endpoint: 'http://far.test/' } } }],
          },
        },
      ]),
    );
    await start('run_long', { items: Array.from({ length: tasks }, (_, index) => index) });
    worker.start();
    await expect.poll(() => statusOf('run_long'), { timeout: 400_000, interval: 50 }).toBe('completed');
    const between = (from: number, to: number) => {
      const [first, last] = [from, to].map(part => marks[Math.floor((marks.length - 1) * part)]);
      if (first === undefined || last === undefined) throw new Error('Too few calls were made');
      return (last.cpuMs - first.cpuMs) / (last.calls - first.calls);
    };
    const [early, late] = [between(0.1, 0.4), between(0.7, 1)];
    console.log(`${store}: ${early.toFixed(2)} ms CPU a task early, ${late.toFixed(2)} ms late`);
    expect(late).toBeLessThan(early * 2);
    await worker.stop();
    await journal.close();
  }, 600_000);

  test(`a run costs the same with ${sleepers} others asleep, and those cost no memory`, async () => {
    const { journal, worker, start, statusOf } = await open(
      definitionOf([
        { before: { set: { at: '${ .at }' } } },
        { rest: { if: '${ .at != "now" }', wait: { days: 1 } } },
      ]),
    );
    worker.start();
    const round = async (name: string) => {
      const startedMs = cpuMs();
      for (let count = 0; count < 50; count++) await start(`run_${name}_${count}`, { at: 'now' });
      await expect
        .poll(async () => (await statusOf(`run_${name}_49`)) === 'completed' && worker.activeRuns === 0, {
          timeout: 60_000,
          interval: 20,
        })
        .toBe(true);
      return (cpuMs() - startedMs) / 50;
    };
    await round('warm');
    const few = Math.min(await round('few'), await round('few2'));
    const before = heapBytes();
    let submitted = 0;
    const submit = async () => {
      while (submitted < sleepers) {
        await start(`run_sleep_${submitted++}`, { at: 'tomorrow' });
        // Those that are under way are memory, of which there is only so much.
        while (worker.activeRuns > 400) await sleep(5);
      }
    };
    await Promise.all(Array.from({ length: together }, submit));
    await expect
      .poll(
        async () => (await statusOf(`run_sleep_${sleepers - 1}`)) === 'waiting' && worker.activeRuns === 0,
        {
          timeout: 300_000,
          interval: 50,
        },
      )
      .toBe(true);
    const grownBytes = heapBytes() - before;
    const many = Math.min(await round('many'), await round('many2'));
    console.log(
      `${store}: ${few.toFixed(2)} ms CPU a run with none asleep, ${many.toFixed(2)} ms with ${sleepers}; heap grew ${(grownBytes / 1024 / 1024).toFixed(1)} MiB`,
    );
    expect(many).toBeLessThan(few * 2 + 2);
    expect(grownBytes).toBeLessThan(24 * 1024 * 1024);
    await worker.stop();
    await journal.close();
  }, 900_000);
});
