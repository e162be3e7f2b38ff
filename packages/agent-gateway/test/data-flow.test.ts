import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

async function run(tasks: unknown, input: unknown = {}, rest: Record<string, unknown> = {}) {
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf(typeof tasks === 'string' ? parse(tasks) : tasks, rest), input },
  });
  return body;
}

test('set, in order, each sees what the one before gave', async () => {
  const body = await run(
    [
      { first: { set: { n: '${ .n + 1 }', kept: 'text' } } },
      { second: { set: { n: '${ .n * 10 }', was: '${ . }' } } },
    ],
    { n: 1 },
  );
  expect(body).toMatchObject({ status: 'completed', output: { n: 20, was: { n: 2, kept: 'text' } } });
});

test('input.from, output.as and export.as transform data and context', async () => {
  const body = await run(
    [
      {
        a: {
          input: { from: '.order' },
          set: { total: '${ .price * .count }', price: '${ $input.price }' },
          output: { as: '${ { total } }' },
          export: { as: '{ ordered: .total, before: $context }' },
        },
      },
      {
        b: {
          set: {
            total: '${ .total }',
            context: '${ $context.ordered }',
            start: '${ $workflow.input.order.count }',
          },
        },
      },
    ],
    { order: { price: 3, count: 4 } },
    { output: { as: '. + { name: $workflow.definition.document.name }' } },
  );
  expect(body.output).toEqual({ total: 12, context: 12, start: 4, name: 'flow' });
});

test('a nested list ends with the output of its last task, and transforms it', async () => {
  const body = await run([
    {
      outer: {
        do: [{ one: { set: { v: 1 } } }, { two: { set: { v: '${ .v + 1 }' } } }],
        output: { as: '{ inner: .v }' },
      },
    },
    { after: { set: { seen: '${ .inner }' } } },
  ]);
  expect(body.output).toEqual({ seen: 2 });
});

test('switch takes the first case that holds, else the default, else goes on', async () => {
  const tasks = `
    - route:
        switch:
          - high: { when: .n > 10, then: big }
          - low: { when: '\${ .n < 0 }', then: end }
          - default: { then: small }
    - big: { set: { size: big }, then: exit }
    - small: { set: { size: small } }
  `;
  expect((await run(tasks, { n: 11 })).output).toEqual({ size: 'big' });
  expect((await run(tasks, { n: 5 })).output).toEqual({ size: 'small' });
  expect((await run(tasks, { n: -1 })).output).toEqual({ n: -1 });
});

test('a task whose condition does not hold is skipped, and `then` goes with it', async () => {
  const body = await run(`
    - a: { if: .go, set: { went: true }, then: end }
    - b: { set: { went: false } }
  `);
  expect(body.output).toEqual({ went: false });
});

test('`then` can go back: a loop with a counter', async () => {
  const tasks = `
    - step: { set: { n: '\${ .n + 1 }' } }
    - again: { switch: [ more: { when: .n < 25, then: step } ] }
    - done: { set: { n: '\${ .n }', done: true } }
  `;
  const body = await run(tasks, { n: 0 });
  expect(body.output).toEqual({ n: 25, done: true });
});

test('[F88] [G3] a loop without an end is stopped by the limit on visits, and stays resumable', async () => {
  const body = await run(
    '[ a: { set: { x: 1 } }, b: { set: { x: 2 }, then: a } ]',
    {},
    {
      document: {
        dsl: '1.0.3',
        namespace: 'test',
        name: 'flow',
        version: '1.0.0',
        metadata: { gateway: { limits: { visits: 40 } } },
      },
    },
  );
  expect(body.status).toBe('paused');
  expect(body.pause.error).toMatchObject({ reason: 'no_progress', instance: '/do/1/b' });
});

test('an expression that fails fails the run, with the task as its place', async () => {
  const body = await run([{ ok: { set: { a: 1 } } }, { bad: { set: { b: '${ .a | keys }' } } }]);
  expect(body).toMatchObject({
    status: 'failed',
    error: { reason: 'expression_failed', instance: '/do/1/bad', status: 400 },
  });
  expect(body.error.type).toBe('https://serverlessworkflow.io/spec/1.0.0/errors/expression');
});

test('a value that is too large fails its task instead of being written [F83]', async () => {
  const body = await run([{ big: { set: { text: '${ "x" * 1048000 }', more: '${ "y" * 5000 }' } } }]);
  expect(body.error).toMatchObject({ reason: 'value_too_large', instance: '/do/0/big', status: 413 });
});

test('wait gives its input on, and not before its time', async () => {
  const startedAt = Date.now();
  const body = await run([{ pause: { wait: { milliseconds: 300 } } }, { after: { set: { x: '${ .x }' } } }], {
    x: 1,
  });
  expect(body).toMatchObject({ status: 'completed', output: { x: 1 } });
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(300);
});

test('a timeout ends a task, a list and the whole run', async () => {
  const late = { wait: 'PT10S' };
  const timeout = { after: { milliseconds: 50 } };
  const bodies = await Promise.all([
    run([{ slow: { ...late, timeout } }]),
    run([{ outer: { do: [{ slow: late }], timeout } }]),
    run([{ slow: late }], {}, { timeout }),
  ]);
  expect(bodies.map(body => [body.status, body.error.reason, body.error.instance])).toEqual([
    ['failed', 'task_timeout', '/do/0/slow'],
    ['failed', 'task_timeout', '/do/0/outer'],
    ['failed', 'task_timeout', ''],
  ]);
});

test('data is held against the schemas of the definition, and what is not is an error that can be caught', async () => {
  const schema = (document: unknown) => ({ schema: { format: 'json', document } });
  const number = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
  const flow = [
    {
      add: {
        input: schema(number),
        set: { n: '${ .n + 1 }' },
        output: schema(number),
        export: { as: '.', ...schema(number) },
      },
    },
  ];
  expect(await run(flow, { n: 1 })).toMatchObject({ status: 'completed', output: { n: 2 } });
  const failed = await run(flow, { n: 'one' });
  expect(failed).toMatchObject({
    status: 'failed',
    error: {
      type: 'https://serverlessworkflow.io/spec/1.0.0/errors/validation',
      status: 400,
      reason: 'data_invalid',
      instance: '/do/0/add',
      detail: 'The input is not what its schema says at /n: must be number.',
    },
  });
  const caught = await run(
    [
      {
        safe: {
          try: flow,
          catch: { errors: { with: { status: 400 } }, do: [{ say: { set: { why: '${ $error.reason }' } } }] },
        },
      },
    ],
    {},
  );
  expect(caught).toMatchObject({ status: 'completed', output: { why: 'data_invalid' } });
  const whole = await run([{ a: { set: { n: 'text' } } }], {}, { output: schema(number) });
  expect(whole).toMatchObject({ status: 'failed', error: { reason: 'data_invalid', instance: '' } });
});
