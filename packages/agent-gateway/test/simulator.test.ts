import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NewRun } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { replay } from '../src/domain/replay.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { countedEffect, EffectLog, finishedKeys } from './support/counted-effect.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createMemoryJournal, type MemoryJournal } from './support/memory-journal.ts';

/** Real workers on a simulated store, in simulated time, which die and stand still at random. The seed repeats a failure. */

const hourMs = 3_600_000;
const hoursOfScenario = 25;
const queueLimit = 2;
let engines: Engines;
let definitions: Definition[];
beforeAll(async () => {
  engines = await createEngines();
  definitions = await Promise.all(['PT10M', 'PT45M', 'PT3H'].map(pause => engines.read(workflow(pause))));
});
afterAll(() => engines.close());

const effect = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: 'http://far.test/', body: { n } },
  metadata: { gateway: { onInDoubt: 'retry' } },
});

const workflow = (pause: string) =>
  definitionOf([
    { one: effect('${ .n }') },
    { both: { fork: { branches: [{ left: effect('${ .doubled }') }, { right: effect('${ .doubled }') }] } } },
    { pause: { wait: pause } },
    {
      map: {
        for: { each: 'item', in: '.' },
        do: [{ again: effect('${ $item.doubled }') }],
        metadata: { gateway: { concurrency: 2 } },
      },
    },
    {
      careful: {
        try: [
          { go: { listen: { to: { one: { with: { type: 'go' } } } } } },
          { fail: { raise: { error: { type: 'https://x.test/e', status: 400, title: 'E' } } } },
        ],
        catch: { do: [{ kept: { set: { a: '${ .[0].doubled }', b: '${ .[1].doubled }' } } }] },
      },
    },
  ]);

interface Process {
  /** Dead: what it does reaches nobody. Standing: what it does takes effect when it goes on. */
  state: 'alive' | 'dead' | 'standing';
  resume(): void;
  gone: Promise<void>;
  create(run: NewRun): Promise<unknown>;
}

function createProcess(): Process {
  return { state: 'alive', resume: () => {}, gone: Promise.resolve(), create: () => forever };
}

const forever = new Promise<never>(() => {});

async function passes(process: Process): Promise<void> {
  if (process.state === 'dead') await forever;
  if (process.state === 'standing') await process.gone;
}

/** The journal as a process sees it. Its request may arrive and its answer be lost. */
function through(process: Process, journal: Journal): Journal {
  return new Proxy(journal, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      if (typeof value !== 'function' || name === 'onAppend' || name === 'onDue') return value;
      return async (...values: unknown[]) => {
        await passes(process);
        const result = await value.apply(target, values);
        await passes(process);
        return result;
      };
    },
  });
}

interface Scenario {
  readonly seed: number;
  readonly hours: number;
  readonly isFenced: boolean;
}

async function simulate({ seed, hours, isFenced }: Scenario): Promise<string[]> {
  const random = seededRandom(seed);
  const clock = createManualClock();
  const journal = createMemoryJournal({ isFenced });
  const finished = new Set<string>();
  journal.onAppend(runId => {
    for (const key of finishedKeys(journal.runs.get(runId)?.records.slice() ?? [])) finished.add(key);
  });
  const log = new EffectLog(key => finished.has(key));
  const crowded: string[] = [];
  journal.onAppend(runId => {
    const run = journal.runs.get(runId);
    const mayHaveBegun = run?.summary.queue !== undefined && run.records.length < 12;
    if (mayHaveBegun && crowded.length === 0) crowded.push(...crowdedQueues(journal));
  });
  const http = (process: Process) =>
    countedEffect('http', log, async (request, { signal }) => {
      await passes(process);
      await clock.sleep(random() * 120_000, signal);
      await passes(process);
      if (random() < 0.1) throw new GatewayError('upstream_failed', 'Broken', { reason: 'http_call_failed' });
      const { n } = (request as { body: { n: number } }).body;
      return { result: { status: 200, isProblem: false, headers: {}, content: { doubled: n * 2 } } };
    });
  let started = 0;
  const start = () => {
    const process = createProcess();
    const worker = engines.worker({
      journal: through(process, journal),
      clock,
      effects: [http(process)],
      random,
      owner: `worker-${++started}`,
      leaseMs: 180_000,
      heartbeatMs: 60_000,
      pollMs: 600_000,
    });
    worker.start();
    process.create = run => worker.create(run);
    return process;
  };
  const processes = [start(), start(), start()];
  for (const {
    workflow: { hash },
    document,
  } of definitions)
    await journal.putDefinition({ hash, document }, 0);
  const endAtMs = clock.now() + hours * hourMs;
  let runs = 0;
  while (clock.now() < endAtMs) {
    const definition = definitions[Math.floor(random() * definitions.length)];
    if (definition !== undefined && runs < hours * 2) {
      const id = `run_${String(runs++).padStart(5, '0')}`;
      const queue = runs % 2 === 0 ? undefined : { name: `key-${runs % 3}`, limit: queueLimit };
      const run = runOf(definition, { id, input: { n: runs }, atMs: clock.now(), queue });
      await submit(run, processes[Math.floor(random() * 6)], { journal, random });
      await journal.request('default', id, {
        kind: 'signal',
        payload: { id: 's', name: 'go', data: {} },
        by: 'p',
        atMs: 0,
      });
    }
    await clock.advance(random() * 20 * 60_000);
    disturb(processes, { random, start });
  }
  for (const process of processes) revive(process);
  start();
  for (let tries = 0; tries < 200 && openRuns(journal) > 0; tries++) await clock.advance(10 * 60_000);
  for (const process of processes) process.state = 'dead';
  return [...log.violations, ...crowded, ...problemsOf(journal)];
}

/** To a process, which may die before it has heard that the run was made, or to one that works on none. */
async function submit(
  run: NewRun,
  process: Process | undefined,
  { journal, random }: { journal: MemoryJournal; random: () => number },
): Promise<void> {
  if (process?.state !== 'alive') {
    await journal.createRun(run);
    return;
  }
  const made = process.create(run);
  if (random() < 0.2) process.state = 'dead';
  else await made;
  while (!journal.runs.has(run.id)) await Promise.resolve();
}

function disturb(
  processes: Process[],
  { random, start }: { random: () => number; start: () => Process },
): void {
  const index = Math.floor(random() * processes.length);
  const chosen = processes[index];
  if (chosen === undefined) return;
  const dice = random();
  if (chosen.state === 'standing') revive(chosen);
  else if (dice < 0.3) {
    chosen.state = 'dead';
    processes[index] = start();
  } else if (dice < 0.6) {
    chosen.state = 'standing';
    chosen.gone = new Promise(resolve => {
      chosen.resume = resolve;
    });
  }
}

function revive(process: Process): void {
  if (process.state !== 'standing') return;
  process.state = 'alive';
  process.resume();
}

/** Queues of which more runs are in progress than their limit, whoever holds them and however often a worker died. */
function crowdedQueues({ runs }: MemoryJournal): string[] {
  const inProgress = new Map<string, number>();
  for (const { records, summary } of runs.values()) {
    if (summary.queue === undefined || summary.endedAtMs !== undefined) continue;
    if (!records.some(({ event }) => event.type === 'task-started')) continue;
    inProgress.set(summary.queue, (inProgress.get(summary.queue) ?? 0) + 1);
  }
  return [...inProgress]
    .filter(([, count]) => count > queueLimit)
    .map(([name, count]) => `${count} runs of ${name} at a time`);
}

const openRuns = ({ runs }: MemoryJournal) =>
  [...runs.values()].filter(({ summary }) => summary.endedAtMs === undefined).length;

/** Every run has ended with the exact result, and its journal folds to what its summary says. */
function problemsOf({ runs }: MemoryJournal): string[] {
  return [...runs].flatMap(([id, { records, summary }]) => {
    try {
      const state = replay(records);
      const { n } = state.input as { n: number };
      const isRight = JSON.stringify(state.output) === JSON.stringify({ a: 8 * n, b: 8 * n });
      if (state.status !== 'completed' || summary.status !== 'completed')
        return [`${id} is ${summary.status}`];
      return isRight ? [] : [`${id} gave ${JSON.stringify(state.output)}`];
    } catch (error) {
      return [`${id} cannot be folded: ${String(error)}`];
    }
  });
}

const seed = Number(process.env.STRATA_SIMULATOR_SEED ?? Date.now() % 1_000_000);
const wantedHours = sized({ ci: 1000, soak: 50_000 });

test(`[AG-1] [AG-2] [AG-4] [AG-6] ${wantedHours} simulated hours of dying and standing workers: exact results, nothing repeated (seed ${seed})`, async () => {
  for (let at = 0; at * hoursOfScenario < wantedHours; at++) {
    const problems = await simulate({ seed: seed + at, hours: hoursOfScenario, isFenced: true });
    expect(problems, `STRATA_SIMULATOR_SEED=${seed + at}`).toEqual([]);
  }
}, 600_000);

test('the simulator notices a journal that takes what a stale worker writes', async () => {
  const found: string[] = [];
  for (let at = 0; at < 20 && found.length === 0; at++)
    found.push(...(await simulate({ seed: 7000 + at, hours: hoursOfScenario, isFenced: false })));
  expect(found).not.toEqual([]);
}, 300_000);
