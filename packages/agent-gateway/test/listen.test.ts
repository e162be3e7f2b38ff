import { systemClock } from '@strata/shared/clock.ts';
import { afterAll, expect, test } from 'vitest';
import { createCompileTrigger } from '../src/compile-trigger.ts';
import type { ReceivedEvent } from '../src/domain/run-events.ts';
import type { Branches } from '../src/domain/run-state.ts';
import type { TaskView } from '../src/domain/task-type.ts';
import { createDataSchemas } from '../src/dsl/data-schemas.ts';
import { createDefinitions } from '../src/dsl/definitions.ts';
import { createGrammar } from '../src/dsl/grammar.ts';
import { createJqExpressions } from '../src/expressions/jq-expressions.ts';
import { taskTypes } from '../src/tasks/registry.ts';
import { definitionOf } from './support/gateway.ts';

/** `listen` and the real jq, with the engine's part played by the test: which events are taken, and when it is over. */

const expressions = createJqExpressions({
  clock: systemClock,
  threads: 1,
  timeoutMs: 2000,
  maxMemoryBytes: 1 << 26,
  maxOutputBytes: 1 << 20,
  maxQueue: 10,
});
const grammar = createGrammar(systemClock);
const schemas = createDataSchemas(systemClock);
const definitions = createDefinitions({
  maxLength: () => 1 << 20,
  types: taskTypes,
  expressions,
  grammar,
  schemas,
  checkTrigger: createCompileTrigger(expressions),
});
afterAll(() => Promise.all([expressions.close(), grammar.close(), schemas.close()]));

const noBranches: Branches = {
  opened: 0,
  open: 0,
  completed: 0,
  outputs: [],
  first: undefined,
  last: undefined,
  failed: undefined,
};

/** Gives the events one after another; tells which were taken and what came of it. */
async function listenTo(
  task: Record<string, unknown>,
  events: readonly Record<string, unknown>[],
  input: unknown = {},
) {
  const { workflow } = await definitions.read({
    value: definitionOf([{ wait: task }]),
    lineOf: () => undefined,
  });
  const node = workflow.tasks.get('/do/0/wait');
  const type = taskTypes.get('listen');
  if (node === undefined || type === undefined) throw new Error('not compiled');
  const taken: ReceivedEvent[] = [];
  const plan = () => {
    const view: TaskView<unknown, unknown> = {
      node,
      options: node.options,
      arguments: undefined,
      input,
      startedAtMs: 0,
      nowMs: 0,
      calls: new Map(),
      branches: noBranches,
      events: taken,
      hasEmitted: false,
      child: undefined,
      jitter: () => 0,
    };
    return type.plan(view);
  };
  for (const [index, event] of events.entries()) {
    const move = plan();
    if (move.type !== 'events') break;
    const { when, variables = {} } = move.awaited;
    const value = { specversion: '1.0', id: `e${index}`, source: 'test', type: '', ...event };
    const received = {
      receipt: index,
      id: value.id,
      type: String(value.type),
      source: value.source,
      value,
      by: 'test',
      via: 'event' as const,
    };
    if (!move.awaited.accepts(received) || when?.kind !== 'expression') continue;
    const match = await expressions.evaluate(when.source, {
      data: value,
      variables: { ...variables, input },
    });
    if (match !== null && match !== false) taken.push({ ...received, match });
  }
  const end = plan();
  return { taken: taken.map(each => each.receipt), output: end.type === 'complete' ? end.output : undefined };
}

const temperature = { with: { type: 'vitals.temperature', data: '${ .degrees > 38 }' } };
const pulse = { with: { type: 'vitals.pulse', data: '${ .bpm < 60 or .bpm > 100 }' } };
const hot = { type: 'vitals.temperature', data: { degrees: 39 } };
const warm = { type: 'vitals.temperature', data: { degrees: 37 } };
const fast = { type: 'vitals.pulse', data: { bpm: 120 } };
const listen = (to: unknown, rest: Record<string, unknown> = {}) => ({ listen: { to, ...rest } });

test('one: the first event that the filter lets through', async () => {
  expect(await listenTo(listen({ one: temperature }), [fast, warm, hot, hot])).toEqual({
    taken: [2],
    output: [{ degrees: 39 }],
  });
});

test('any: whichever comes first; an empty list takes everything', async () => {
  expect(await listenTo(listen({ any: [temperature, pulse] }), [warm, fast])).toMatchObject({ taken: [1] });
  expect(await listenTo(listen({ any: [] }), [warm, fast])).toEqual({
    taken: [0],
    output: [{ degrees: 37 }],
  });
});

test('all: each filter its event, in any order, none twice', async () => {
  expect(await listenTo(listen({ all: [temperature, pulse] }), [fast, fast, warm, hot])).toEqual({
    taken: [0, 3],
    output: [{ bpm: 120 }, { degrees: 39 }],
  });
  const two = { with: { type: 'a' } };
  expect(
    await listenTo(listen({ all: [two, two] }), [
      { type: 'a', data: 1 },
      { type: 'a', data: 2 },
    ]),
  ).toEqual({
    taken: [0, 1],
    output: [1, 2],
  });
});

test('until: a condition over what was read, the last event included', async () => {
  const events = [1, 2, 3, 4, 5].map(data => ({ type: 'n', data }));
  expect(await listenTo(listen({ any: [], until: '( . | length ) > 2' }), events)).toEqual({
    taken: [0, 1, 2],
    output: [1, 2, 3],
  });
  expect(await listenTo(listen({ any: [], until: '${ false }' }), events)).toEqual({
    taken: [0, 1, 2, 3, 4],
    output: undefined,
  });
});

test('until: an event that ends it and is not part of the output', async () => {
  const gone = { one: { with: { type: 'patient.gone' } } };
  const events = [hot, fast, { type: 'patient.gone' }, hot];
  expect(await listenTo(listen({ any: [temperature, pulse], until: gone }), events)).toEqual({
    taken: [0, 1, 2],
    output: [{ degrees: 39 }, { bpm: 120 }],
  });
  const both = { all: [{ with: { type: 'x' } }, { with: { type: 'y' } }] };
  const mixed = [{ type: 'x' }, hot, { type: 'y' }];
  expect(await listenTo(listen({ any: [temperature], until: both }), mixed)).toEqual({
    taken: [0, 1, 2],
    output: [{ degrees: 39 }],
  });
});

test('correlate: events of one thing, whichever it is', async () => {
  const of = (type: string) => ({ with: { type }, correlate: { room: { from: '.room' } } });
  const events = [
    { type: 'heat', room: 'a', data: 1 },
    { type: 'damp', room: 'b', data: 2 },
    { type: 'heat', room: 'a', data: 3 },
    { type: 'damp', room: 'a', data: 4 },
  ];
  expect(await listenTo(listen({ all: [of('heat'), of('damp')] }), events)).toEqual({
    taken: [0, 3],
    output: [1, 4],
  });
  const expecting = { with: { type: 'damp' }, correlate: { room: { from: '.room', expect: 'a' } } };
  expect(await listenTo(listen({ one: expecting }), events)).toMatchObject({ taken: [3] });
});

test('what is expected is said in terms of the input, for every filter that names the key', async () => {
  const order = (expect?: string) => ({ order: { from: '.data.order', ...(expect && { expect }) } });
  const paid = { with: { type: 'paid' }, correlate: order() };
  const sent = { with: { type: 'sent' }, correlate: order('${ .wanted }') };
  const events = [8, 7].flatMap(of => ['paid', 'sent'].map(type => ({ type, data: { order: of } })));
  expect(await listenTo(listen({ all: [paid, sent] }), events, { wanted: 7 })).toMatchObject({
    taken: [2, 3],
  });
});

test('an event of another shape than a filter expects is not let through, and harms nobody', async () => {
  const events = ['text', [1], 7, null, true, { x: 'text' }, { x: { y: 1 } }].map(data => ({
    type: 'odd',
    data,
  }));
  const positive = { with: { type: 'odd', data: '${ .x.y > 0 }' } };
  expect(await listenTo(listen({ one: positive }), events)).toMatchObject({ taken: [6] });
  const deep = { with: { type: 'odd' }, correlate: { of: { from: '.data.x.y', expect: '${ 1 }' } } };
  expect(await listenTo(listen({ one: deep }), events)).toMatchObject({ taken: [6] });
});

test('attributes: texts as they are, patterns, expressions that give what to compare with', async () => {
  const events = [
    { type: 'com-shop-order', data: 1 },
    { type: 'com.shop.order', subject: 'o-1', data: 2 },
  ];
  expect(await listenTo(listen({ one: { with: { type: 'com.shop.order' } } }), events)).toMatchObject({
    taken: [1],
  });
  expect(await listenTo(listen({ one: { with: { type: 'com.+' } } }), events)).toMatchObject({ taken: [0] });
  expect(await listenTo(listen({ one: { with: { subject: '${ "o-" + "1" }' } } }), events)).toMatchObject({
    taken: [1],
  });
});

test('read: the data or the whole event', async () => {
  const { output } = await listenTo(listen({ one: temperature }, { read: 'envelope' }), [hot]);
  expect(output).toEqual([{ specversion: '1.0', id: 'e0', source: 'test', ...hot }]);
  const bytes = { type: 'bytes', datacontenttype: 'image/png', data_base64: 'iVBORw0K' };
  for (const read of ['data', 'raw'])
    expect(await listenTo(listen({ one: { with: { type: 'bytes' } } }, { read }), [bytes])).toMatchObject({
      output: ['iVBORw0K'],
    });
});

test('a comment at the end of an expression does not swallow what follows', async () => {
  const filter = { with: { type: 'n', data: '${ . > 1 # more than one }' } };
  expect(
    await listenTo(listen({ one: filter }), [
      { type: 'n', data: 1 },
      { type: 'n', data: 2 },
    ]),
  ).toMatchObject({ taken: [1] });
});

test('mistakes have their place', async () => {
  const wrong = definitionOf([
    { a: listen({ one: {} }) },
    { b: listen({ any: [{ with: { type: 'x', data: '${ . + }' } }] }) },
    { c: listen({ all: [] }) },
    { d: { ...listen({ any: [] }), foreach: { item: 'x-y', do: [] } } },
  ]);
  const refused = await definitions.read({ value: wrong, lineOf: () => undefined }).catch(error => error);
  const pointers = refused.details.errors.map((each: { pointer: string }) => each.pointer);
  expect(pointers).toEqual(
    expect.arrayContaining([
      '/do/0/a/listen/to/one/with',
      '/do/1/b/listen/to/any/0/with/data',
      '/do/3/d/foreach/item',
    ]),
  );
});
