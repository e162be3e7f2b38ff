import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCompileTrigger } from '../src/compile-trigger.ts';
import { decideAll } from '../src/domain/decide.ts';
import { emptyRun } from '../src/domain/empty-run.ts';
import { apply } from '../src/domain/fold.ts';
import { replay } from '../src/domain/replay.ts';
import type { JournalRecord, RunEvent } from '../src/domain/run-events.ts';
import { createDataSchemas } from '../src/dsl/data-schemas.ts';
import { createDefinitions } from '../src/dsl/definitions.ts';
import { createGrammar } from '../src/dsl/grammar.ts';
import { createJqExpressions } from '../src/expressions/jq-expressions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import { type Effects, startEffects } from './support/effects.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { mayFollow } from './support/may-follow.ts';
import { runEvent } from './support/run-event.ts';

/** Journals that real runs wrote, folded and decided again. */

let deps: TestDeps;
let gateway: TestGateway;
let effects: Effects;
beforeAll(async () => {
  effects = await startEffects({ maxDelayMs: 5, random: Math.random });
  deps = await createTestDeps({ name: 'agent-gateway' });
  gateway = await startGateway({ deps });
});
afterAll(async () => {
  await gateway.close();
  await deps.close();
  await effects.close();
});

const effect = {
  call: 'http',
  with: { method: 'post', endpoint: 'URL', body: { n: '${ .n // .doubled }' } },
};
const tasks = () =>
  JSON.parse(
    JSON.stringify([
      { start: { set: { n: '${ .n }' } } },
      { skipped: { if: '${ false }', set: { never: true } } },
      { one: effect },
      {
        choose: {
          switch: [{ big: { when: '${ .doubled > 9 }', then: 'done' } }, { small: { then: 'nested' } }],
        },
      },
      { nested: { do: [{ two: effect }, { pause: { wait: { milliseconds: 5 } } }], then: 'choose' } },
      { done: { set: { result: '${ .doubled }' } } },
    ]).replaceAll('URL', `${effects.url}/effect`),
  ) as unknown;

async function recordsOfRun(n: number, { rewindTo }: { rewindTo?: readonly string[] } = {}) {
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf(tasks()), input: { n } },
  });
  expect(body.status, JSON.stringify(body)).toBe('completed');
  for (const task of rewindTo ?? []) {
    const before = (await gateway.call('GET', `/v1/runs/${body.id}`)).body.events;
    const asked = await gateway.call('POST', `/v1/runs/${body.id}:rewind`, { body: { task } });
    expect(asked.status, JSON.stringify(asked.body)).toBeLessThan(300);
    await expect
      .poll(
        async () => {
          const { body: run } = await gateway.call('GET', `/v1/runs/${body.id}`);
          return run.status === 'completed' && run.events > before;
        },
        { timeout: 30_000 },
      )
      .toBe(true);
  }
  const journal = await openSqliteJournal(join(deps.dataDir, 'journal.sqlite'));
  const records = await journal.read(body.id, 0, 10_000);
  const run = await journal.getRun('default', body.id);
  const definition = await journal.getDefinition(run?.definition ?? '');
  await journal.close();
  const expressions = createJqExpressions({
    clock: systemClock,
    threads: 1,
    timeoutMs: 1000,
    maxMemoryBytes: 1 << 26,
    maxOutputBytes: 1 << 20,
    maxQueue: 10,
  });
  const grammar = createGrammar(systemClock);
  const schemas = createDataSchemas(systemClock);
  const workflow = createDefinitions({
    maxLength: () => 1 << 20,
    types: taskTypes,
    expressions,
    grammar,
    schemas,
    checkTrigger: createCompileTrigger(expressions),
  }).load(definition?.hash ?? '', definition?.document ?? '');
  await Promise.all([expressions.close(), grammar.close(), schemas.close()]);
  return { records, workflow, run };
}

test('[AG-3] at every point of a journal the decision is the same again, and is the one that the run went on with', async () => {
  for (const n of [1, 3, 50]) {
    const { records, workflow } = await recordsOfRun(n);
    expect(records.length).toBeGreaterThan(15);
    for (let length = 1; length < records.length; length++) {
      const next = records[length];
      if (next === undefined || next.event.type === 'run-started') continue;
      const prefix = records.slice(0, length);
      const options = { workflow, types: taskTypes, nowMs: next.atMs };
      const commands = decideAll(replay(prefix), options);
      expect(decideAll(replay(structuredClone(prefix)), options)).toEqual(commands);
      const isAllowed = commands.some(command => mayFollow(command, next.event));
      expect(isAllowed, `${length}: ${next.event.type}`).toBe(true);
    }
  }
});

test('[AG-3] so it is in a journal that was rewound, and rewound again: what was put aside decides nothing', async () => {
  const { records, workflow } = await recordsOfRun(3, { rewindTo: ['/do/2/one', '/do/3/choose'] });
  expect(records.filter(({ event }) => event.type === 'run-rewound')).toHaveLength(2);
  let compared = 0;
  for (let length = 1; length < records.length; length++) {
    const next = records[length];
    if (next === undefined || next.event.type === 'run-started' || next.event.type === 'run-rewound')
      continue;
    const prefix = records.slice(0, length);
    const decide = () => {
      const state = replay(prefix);
      return { state, commands: decideAll(state, { workflow, types: taskTypes, nowMs: next.atMs }) };
    };
    const [first, second] = [decide(), decide()];
    expect(first.state).toEqual(second.state);
    const isAllowed = first.commands.some(command => mayFollow(command, next.event));
    expect(isAllowed, `${length}: ${next.event.type}`).toBe(true);
    compared++;
  }
  expect(compared).toBeGreaterThan(40);
});

test('[AG-3] folding record by record gives what folding all at once gives', async () => {
  const { records } = await recordsOfRun(2);
  const state = emptyRun();
  for (const record of records) apply(state, record);
  expect(state).toEqual(replay(records));
});

test('a journal with a gap, or a record twice, is refused and not guessed at', async () => {
  const { records } = await recordsOfRun(2);
  const without = (index: number) => records.filter((_, each) => each !== index);
  expect(() => replay(without(3))).toThrow('Journal gap');
  expect(() => replay([...records.slice(0, 4), records[3] as JournalRecord, ...records.slice(4)])).toThrow(
    'Journal gap',
  );
});

test('[AG-5] what the API says of a run is what its journal says', async () => {
  const { records, run } = await recordsOfRun(4);
  const state = replay(records);
  expect({ status: run?.status, position: run?.position, cost: run?.costNanoUsd }).toEqual({
    status: state.status,
    position: records.length,
    cost: state.costNanoUsd,
  });
});

describe('what a run was granted', () => {
  const created = runEvent({ tenant: 't', definition: 'd', deadlineAtMs: 1 });
  const { limits } = created;
  const grantedBy = (...events: RunEvent[]) =>
    replay(events.map((event, index) => ({ seq: index + 1, atMs: 1, event, bytes: 1 }))).granted;
  const resumed = (more: object, rest: object = {}): RunEvent => ({
    type: 'run-resumed',
    by: 'p',
    limits: { ...limits, ...more },
    ...rest,
  });

  test('is what changed, in records that do not name it', () => {
    expect(grantedBy(created, resumed({ maxSteps: 9 }), resumed({ maxSteps: 9, maxRunMs: 5 }))).toEqual({
      maxSteps: 9,
      maxRunMs: 5,
    });
    expect(grantedBy(created, resumed({}), { type: 'run-resumed', by: 'p' })).toEqual({});
  });

  test('is what its first record says, for what it was granted before it was taken in', () => {
    const imported = { ...created, imported: { run: 'r', digest: '', to: 2 }, granted: { maxSteps: 9 } };
    const money = { maxSteps: 9, maxCostNanoUsd: '5' };
    expect(grantedBy(imported, resumed(money, { granted: money }))).toEqual({ maxSteps: 9 });
    expect(grantedBy(imported, resumed({ maxVisits: 7 }))).toEqual({ maxSteps: 9 });
  });
});
