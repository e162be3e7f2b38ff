import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import { replay } from '../src/domain/replay.ts';
import type { JournalRecord } from '../src/domain/run-events.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createMemoryJournal } from './support/memory-journal.ts';
import { createPace, passing } from './support/pace.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/**
 * Timers and signals: signals before anybody waits, while the worker is dead, twice, and after the deadline or the end, in any order and
 * with workers that die at any moment. The seed repeats a failure.
 */

const seed = Number(process.env.STRATA_PROPERTY_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`signal model: STRATA_PROPERTY_SEED=${seed}\n`);
const minuteMs = 60_000;
const listenMs = 10 * minuteMs;
const waitMs = 5 * minuteMs;
const leaseMs = 30_000;
/** The lease of a worker that died, and of the one that died when it looked after that. */
const latenessMs = 2 * leaseMs;
const rounds = 3;
const folder = mkdtempSync(join(tmpdir(), 'strata-signal-model-'));
let engines: Engines;
let definition: Definition;
let postgres: TestPostgres;

beforeAll(async () => {
  engines = await createEngines();
  postgres = await openTestPostgres();
  const round = (index: number) => [
    {
      [`round-${index}`]: {
        try: [{ hear: { listen: { to: { one: { with: { type: 'go' } } } }, timeout: { after: 'PT10M' } } }],
        catch: { errors: { with: { status: 408 } }, do: [{ late: { set: { late: true } } }] },
      },
    },
    { [`rest-${index}`]: { wait: 'PT5M' } },
  ];
  const tasks = Array.from({ length: rounds }, (_, index) => round(index)).flat();
  definition = await engines.read(definitionOf(tasks));
});
afterAll(async () => {
  await engines.close();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

type Step =
  | { readonly type: 'send'; readonly id: string }
  | { readonly type: 'pass'; readonly minutes: number }
  | { readonly type: 'crash'; readonly death: Death };

/** Of the calls to the journal that the worker makes from now on. */
interface Death {
  readonly at: number;
  readonly isDone: boolean;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.constantFrom('a', 'b', 'c', 'd', 'e').map(id => ({ type: 'send' as const, id })),
    fc.integer({ min: 1, max: 12 }).map(minutes => ({ type: 'pass' as const, minutes })),
    fc
      .record({ at: fc.integer({ min: 1, max: 12 }), isDone: fc.boolean() })
      .map(death => ({ type: 'crash' as const, death })),
  ),
  { maxLength: 25 },
);

const forever = new Promise<never>(() => {});

/** The journal as a process sees it that may be dead: it hears nothing any more and says nothing. */
function mortal(journal: Journal, onDeath: () => void) {
  let death: Death | undefined;
  let calls = 0;
  let isDead = false;
  const die = () => {
    isDead = true;
    onDeath();
    return forever;
  };
  return {
    journal: passing(journal, async call => {
      if (isDead) return forever;
      const isLast = ++calls === death?.at;
      if (isLast && !death?.isDone) return die();
      const result = await call();
      if (isDead) return forever;
      return isLast ? die() : result;
    }),
    dieAt(given: Death) {
      death = given;
      calls = 0;
    },
  };
}

let runs = 0;

class World {
  readonly runId = `run_${String(runs++).padStart(6, '0')}`;
  readonly sent: string[] = [];
  readonly #clock = createManualClock();
  readonly #pace = createPace(this.#clock);
  readonly #journal: Journal;
  #worker: { dieAt(death: Death): void; ask(): void } | undefined;
  #workers = 0;

  constructor(journal: Journal) {
    this.#journal = this.#pace.watch(journal);
  }

  async open(): Promise<void> {
    const { hash } = definition.workflow;
    await this.#journal.putDefinition({ hash, document: definition.document }, 0);
    const atMs = this.#clock.now();
    await this.#journal.createRun(runOf(definition, { id: this.runId, input: {}, atMs }));
    this.#start();
    await this.#pace.quiet();
  }

  async do(step: Step): Promise<void> {
    if (step.type === 'send') return this.#send(step.id);
    if (step.type === 'crash') return this.#worker?.dieAt(step.death);
    await this.#pace.pass(step.minutes * minuteMs);
  }

  /** Long enough for every timer, and then some. */
  async end(): Promise<JournalRecord[]> {
    await this.do({ type: 'pass', minutes: (rounds * (listenMs + waitMs)) / minuteMs + 10 });
    return this.#journal.read(this.runId, 0, 10_000);
  }

  async #send(id: string): Promise<void> {
    const payload = { id, name: 'go', data: { id } };
    const asked = { kind: 'signal', payload, by: 'p', atMs: this.#clock.now() } as const;
    const before = await this.#journal.getRun('default', this.runId);
    const isTaken = await this.#journal.request('default', this.runId, asked);
    if (before?.endedAtMs !== undefined) expect(isTaken).toBe(false);
    if (!isTaken) return;
    this.sent.push(id);
    this.#worker?.ask();
  }

  /** The next one is there when one dies. */
  #start(): void {
    const { journal, dieAt } = mortal(this.#journal, () => this.#start());
    const worker = engines.worker({
      journal,
      clock: this.#clock,
      effects: [],
      random: () => 0.5,
      owner: `${this.runId}-${++this.#workers}`,
      leaseMs,
      heartbeatMs: 10_000,
      pollMs: minuteMs,
    });
    worker.start();
    this.#worker = { dieAt, ask: () => worker.ask(this.runId) };
  }
}

function problemsOf(records: readonly JournalRecord[], sent: readonly string[]): string[] {
  const problems: string[] = [];
  const received: string[] = [];
  const taken: string[] = [];
  const startedAtMs = new Map<string, number>();
  let timeouts = 0;
  const check = (path: string, atMs: number, least: number) => {
    const tookMs = atMs - (startedAtMs.get(path) ?? 0);
    if (tookMs < least || tookMs > least + latenessMs) problems.push(`${path} took ${tookMs} ms`);
  };
  for (const { event, atMs } of records) {
    if (event.type === 'task-started') startedAtMs.set(event.path, atMs);
    if (event.type === 'event-received') received.push(event.event.id);
    if (event.type === 'event-taken') taken.push(received[event.receipt - 1] ?? 'nothing');
    if (event.type === 'task-completed' && event.path.includes('rest-')) check(event.path, atMs, waitMs);
    if (event.type !== 'task-failed') continue;
    timeouts++;
    check(event.path, atMs, listenMs);
    if (taken.length !== received.length) problems.push(`${event.path} gave up while a signal was there`);
  }
  const once = [...new Set(sent)];
  if (JSON.stringify(received) !== JSON.stringify(once.slice(0, received.length)))
    problems.push(`received ${received} of ${sent}`);
  if (JSON.stringify(taken) !== JSON.stringify(received.slice(0, taken.length)))
    problems.push(`took ${taken} of ${received}`);
  if (taken.length + timeouts !== rounds) problems.push(`${taken.length} signals and ${timeouts} timeouts`);
  const { status } = replay(records);
  if (status !== 'completed') problems.push(`the run is ${status}`);
  return problems;
}

/** In a journal for each case, or in one for all: looking for a run among those of all cases costs the one in memory more with each. */
async function holds(open: () => Journal, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(steps, async given => {
    const world = new World(open());
    await world.open();
    for (const step of given) await world.do(step);
    const records = await world.end();
    expect(problemsOf(records, world.sent)).toEqual([]);
  });
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
}

test(`[8.4-4] [AG-4] [F75] [F77] timers fire once and never early, signals are taken once and in order: in memory (seed ${seed})`, async () => {
  await holds(createMemoryJournal, sized({ ci: 60, soak: 2000 }));
}, 3_600_000);

test(`[8.4-4] [AG-4] [F75] [F77] timers fire once and never early, signals are taken once and in order: in SQLite (seed ${seed})`, async () => {
  const journal = await openSqliteJournal(join(folder, 'journal.sqlite'));
  await holds(() => journal, sized({ ci: 10, soak: 200 }));
  await journal.close();
}, 3_600_000);

test(`[8.4-4] [AG-4] [F75] [F77] timers fire once and never early, signals are taken once and in order: in PostgreSQL (seed ${seed})`, async () => {
  const journal = await postgres.openJournal();
  await holds(() => journal, sized({ ci: 6, soak: 100 }));
  await journal.close();
}, 3_600_000);
