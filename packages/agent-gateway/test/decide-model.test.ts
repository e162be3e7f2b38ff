import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decideAll } from '../src/domain/decide.ts';
import type { Journal } from '../src/domain/journal.ts';
import { replay } from '../src/domain/replay.ts';
import type { JournalRecord } from '../src/domain/run-events.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import { countedEffect, EffectLog, finishedKeys } from './support/counted-effect.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createMemoryJournal } from './support/memory-journal.ts';

/**
 * Workflows that nobody wrote, against an interpreter of thirty lines that knows no journal: whatever the tasks are and wherever a worker
 * dies, the run gives what the interpreter gives. The seed repeats a failure.
 */

const seed = Number(process.env.STRATA_PROPERTY_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`decide model: STRATA_PROPERTY_SEED=${seed}\n`);
let engines: Engines;
beforeAll(async () => {
  engines = await createEngines();
});
afterAll(() => engines.close());

type Task =
  | { readonly kind: 'set'; readonly letter: string }
  | { readonly kind: 'call' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'raise' }
  | { readonly kind: 'leave'; readonly when: string }
  | { readonly kind: 'do'; readonly list: readonly Task[] }
  | { readonly kind: 'fork'; readonly list: readonly Task[] }
  | { readonly kind: 'for'; readonly turns: number; readonly list: readonly Task[] }
  | { readonly kind: 'map'; readonly turns: number; readonly list: readonly Task[] }
  | { readonly kind: 'try'; readonly list: readonly Task[]; readonly otherwise: readonly Task[] };

const { list: lists } = fc.letrec<{ task: Task; list: Task[] }>(tie => ({
  list: fc.array(tie('task'), { minLength: 1, maxLength: 3 }),
  task: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'task' },
    fc.constantFrom('a', 'b').map(letter => ({ kind: 'set' as const, letter })),
    fc.constant({ kind: 'call' as const }),
    fc.constant({ kind: 'wait' as const }),
    fc.constant({ kind: 'raise' as const }),
    fc.constantFrom('a', 'b', 'ab', '!').map(when => ({ kind: 'leave' as const, when })),
    fc.record({ kind: fc.constantFrom('do' as const, 'fork' as const), list: tie('list') }),
    fc.record({
      kind: fc.constantFrom('for' as const, 'map' as const),
      turns: fc.integer({ min: 1, max: 3 }),
      list: tie('list'),
    }),
    fc.record({ kind: fc.constant('try' as const), list: tie('list'), otherwise: tie('list') }),
  ),
}));

const raised = Symbol('raised');

/** What a list gives for a text. @throws `raised`. */
function interpret(list: readonly Task[], input: string): string {
  let text = input;
  for (const task of list) {
    if (task.kind === 'leave' && task.when === text) return text;
    text = interpretTask(task, text);
  }
  return text;
}

function interpretTask(task: Task, text: string): string {
  switch (task.kind) {
    case 'set':
      return text + task.letter;
    case 'call':
      return `${text}!`;
    case 'wait':
    case 'leave':
      return text;
    case 'raise':
      throw raised;
    case 'do':
      return interpret(task.list, text);
    case 'fork': // every branch, of which the first is kept
      return task.list.map(each => interpret([each], text))[0] ?? text;
    case 'for':
      return Array.from({ length: task.turns }).reduce<string>(given => interpret(task.list, given), text);
    case 'map':
      return interpret(task.list, text);
    case 'try':
      try {
        return interpret(task.list, text);
      } catch {
        return interpret(task.otherwise, text);
      }
  }
}

/** As a document. */
function write(list: readonly Task[]): Record<string, unknown>[] {
  return list.map((task, index) => ({ [`t${index}`]: writeTask(task) }));
}

const first = { output: { as: '${ .[0] }' } };

function writeTask(task: Task): Record<string, unknown> {
  switch (task.kind) {
    case 'set':
      return { set: { text: `\${ "\\(.text)${task.letter}" }` } };
    case 'call':
      return {
        call: 'http',
        with: { method: 'post', endpoint: 'http://far.test/', body: { text: '${ .text }' } },
        metadata: { gateway: { onInDoubt: 'retry' } },
      };
    case 'wait':
      return { wait: 'PT1M' };
    case 'raise':
      return { raise: { error: { type: 'https://x.test/e', status: 400, title: 'E' } } };
    case 'leave':
      return {
        switch: [
          { out: { when: `\${ .text == "${task.when}" }`, then: 'exit' } },
          { on: { then: 'continue' } },
        ],
      };
    case 'do':
      return { do: write(task.list) };
    case 'fork':
      return { fork: { branches: write(task.list) }, ...first };
    case 'for':
    case 'map':
      return {
        for: { each: 'turn', in: `[range(${task.turns})]` },
        do: write(task.list),
        ...(task.kind === 'map' && { metadata: { gateway: { concurrency: 2 } }, ...first }),
      };
    case 'try':
      return { try: write(task.list), catch: { do: write(task.otherwise) } };
  }
}

const forever = new Promise<never>(() => {});

/** Dies at the append of this number, before it is written or after. */
function mortal(journal: Journal, { at, isWritten }: Death): Journal {
  let appends = 0;
  let isDead = false;
  return new Proxy(journal, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      if (typeof value !== 'function' || name === 'onAppend' || name === 'onDue') return value;
      return async (...values: unknown[]) => {
        if (isDead) return forever;
        isDead = name === 'append' && ++appends === at;
        if (isDead && !isWritten) return forever;
        const result = await value.apply(target, values);
        return isDead ? forever : result;
      };
    },
  });
}

interface Death {
  readonly at: number;
  readonly isWritten: boolean;
}

/** Two workers that die, and one that does not. */
async function execute(definition: Definition, deaths: readonly Death[]) {
  const journal = createMemoryJournal();
  const clock = createManualClock();
  const { hash } = definition.workflow;
  const id = 'run_1';
  await journal.putDefinition({ hash, document: definition.document }, 0);
  await journal.createRun(runOf(definition, { id, input: { text: '' }, atMs: clock.now() }));
  const log = new EffectLog(key => finishedKeys(journal.runs.get(id)?.records ?? []).has(key));
  const http = countedEffect('http', log, async request => {
    await clock.sleep(1000);
    const { text } = (request as { body: { text: string } }).body;
    return { result: { status: 200, isProblem: false, headers: {}, content: { text: `${text}!` } } };
  });
  const never = { at: Number.POSITIVE_INFINITY, isWritten: true };
  for (const [index, death] of [...deaths, never].entries()) {
    const options = { leaseMs: 30_000, heartbeatMs: 10_000, pollMs: 5000, random: () => 0.5 };
    const worker = engines.worker({
      journal: mortal(journal, death),
      clock,
      effects: [http],
      owner: `worker-${index}`,
      ...options,
    });
    worker.start();
    const isLast = death === never;
    const hasEnded = () => journal.runs.get(id)?.summary.endedAtMs !== undefined;
    for (let minutes = 0; minutes < (isLast ? 500 : 2) && !hasEnded(); minutes++) await clock.advance(60_000);
  }
  const { records = [], summary } = journal.runs.get(id) ?? {};
  return { records, summary, violations: log.violations };
}

/** At any point of a journal the decision is the same again. */
function decidesAgain(records: readonly JournalRecord[], { workflow }: Definition): void {
  for (let length = 1; length < records.length; length += Math.max(1, records.length >> 4)) {
    const prefix = records.slice(0, length);
    const options = { workflow, types: taskTypes, nowMs: records[length]?.atMs ?? 0 };
    expect(decideAll(replay(structuredClone(prefix)), options)).toEqual(decideAll(replay(prefix), options));
  }
}

function expected(list: readonly Task[]): unknown {
  try {
    return { status: 'completed', output: { text: interpret(list, '') } };
  } catch (error) {
    if (error !== raised) throw error;
    return { status: 'failed', output: undefined };
  }
}

const death = fc.record({ at: fc.integer({ min: 1, max: 12 }), isWritten: fc.boolean() });
const cases = sized({ ci: 100, soak: 10_000 });

test(`[AG-1] [AG-3] [W9] ${cases} workflows of chance with workers that die give what an interpreter without a journal gives (seed ${seed})`, async () => {
  const property = fc.asyncProperty(lists, fc.array(death, { maxLength: 2 }), async (list, deaths) => {
    const definition = await engines.read(definitionOf(write(list)));
    const { records, violations } = await execute(definition, deaths);
    const { status, output } = replay(records);
    expect({ status, output: status === 'completed' ? output : undefined }).toEqual(expected(list));
    expect(violations).toEqual([]);
    decidesAgain(records, definition);
  });
  await fc.assert(property, { seed, numRuns: cases });
}, 3_600_000);
