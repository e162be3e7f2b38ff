import { setTimeout as sleep } from 'node:timers/promises';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import type { NewRun } from '../src/domain/append.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { stores, useBothStores } from './support/both-stores.ts';
import { runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';

/** One tenant has more due than a worker can take, another a little: who is served, counted in what is done and not in seconds. */

const flood = sized({ ci: 400, soak: 20_000 });
const few = 30;
const places = 10;
/** Turns are taken: for each of the few one of the flood, and what was under way or claimed when the few came. */
const fairly = 2 * few + 4 * places;
const hourMs = 3_600_000;
const engines = useBothStores();
let asleep: Definition;
let awake: Definition;

const act = { act: { call: 'http', with: { method: 'get', endpoint: 'http://far.test/' } } };

beforeAll(async () => {
  asleep = await engines.read(definitionOf([{ rest: { wait: { hours: 1 } } }, act]));
  awake = await engines.read(definitionOf([act]));
});

describe.each(stores)('%s', store => {
  async function open(definition: Definition, onCall: (calls: number) => void = () => {}) {
    const journal = await engines.openJournal(store);
    const clock = createManualClock();
    const { hash } = definition.workflow;
    await journal.putDefinition({ hash, document: definition.document }, clock.now());
    const calls: { readonly runId: string; readonly tenant: string; readonly atMs: number }[] = [];
    let mostActive = 0;
    const worker = engines.worker({
      journal,
      clock,
      effects: [
        {
          type: 'http',
          async perform(_, { runId, identity: { tenant } }) {
            mostActive = Math.max(mostActive, worker.activeRuns);
            calls.push({ runId, tenant, atMs: clock.now() });
            onCall(calls.length);
            return { result: { status: 200, isProblem: false, headers: {}, content: {} } };
          },
        },
      ],
      random: () => 0.5,
      owner: 'only',
      leaseMs: 24 * hourMs,
      heartbeatMs: 12 * hourMs,
      pollMs: hourMs,
      maxActiveRuns: places,
    });
    const create = async (tenant: string, count: number) => {
      const runs = Array.from({ length: count }, (_, index): NewRun => {
        const id = `run_${tenant}_${String(index).padStart(6, '0')}`;
        const run = runOf(definition, { id, input: {}, atMs: clock.now() });
        return { ...run, tenant, event: { ...run.event, identity: { ...run.event.identity, tenant } } };
      });
      await Promise.all(runs.map(run => journal.createRun(run)));
    };
    const until = async (isDone: () => boolean | Promise<boolean>) => {
      while (!(await isDone())) {
        worker.scan();
        await clock.advance(0);
        await sleep(1); // looks again; nothing is decided by the time
      }
    };
    return {
      journal,
      clock,
      worker,
      calls,
      create,
      until,
      mostActive: () => mostActive,
      async close() {
        await worker.stop();
        await journal.close();
      },
    };
  }

  test(`[AG-7] [F76] ${flood} timers of one tenant and ${few} of another are due at once: each fires once and not early, no more at a time than there are places, and the few are not behind the many`, async () => {
    const world = await open(asleep);
    const { clock, worker, calls, journal } = world;
    const startedAtMs = clock.now();
    await world.create('loud', flood);
    await world.create('quiet', few);
    worker.start();
    const isAsleep = async () =>
      worker.activeRuns === 0 && ((await journal.nextWakeAt('nobody')) ?? 0) === startedAtMs + hourMs;
    await world.until(isAsleep);
    expect(calls).toEqual([]);
    await clock.advance(hourMs);
    await world.until(() => calls.length >= flood + few && worker.activeRuns === 0);
    expect(new Set(calls.map(({ runId }) => runId)).size).toBe(flood + few);
    expect(calls).toHaveLength(flood + few);
    expect(Math.min(...calls.map(({ atMs }) => atMs))).toBeGreaterThanOrEqual(startedAtMs + hourMs);
    expect(world.mostActive()).toBeLessThanOrEqual(places);
    const lastQuiet = calls.findLastIndex(({ tenant }) => tenant === 'quiet');
    expect(lastQuiet).toBeLessThan(fairly);
    await world.close();
  });

  test(`[AG-7] [F87] a tenant submits ${flood} runs, and another a few while those are worked on: the few are served in turn`, async () => {
    let made: Promise<void> | undefined;
    const world = await open(awake, count => {
      if (count === 50) made = world.create('quiet', few);
    });
    await world.create('loud', flood);
    world.worker.start();
    await world.until(() => made !== undefined);
    await made;
    const before = world.calls.length;
    const isServed = () => world.calls.filter(({ tenant }) => tenant === 'quiet').length === few;
    await world.until(isServed);
    const lastQuiet = world.calls.findLastIndex(({ tenant }) => tenant === 'quiet');
    expect(lastQuiet - before).toBeLessThan(fairly);
    await world.until(() => world.calls.length === flood + few && world.worker.activeRuns === 0);
    await world.close();
  });
});
