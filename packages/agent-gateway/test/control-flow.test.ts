import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

let gateway: TestGateway;
let farEnd: FarEnd;
/** Answers by path: `/fail/N` fails that often before it succeeds. */
const failures = new Map<string, number>();
beforeAll(async () => {
  gateway = await startGateway({
    config: { engine: { call_attempts: 1, first_retry_ms: 20, stop_ms: 500 } },
  });
  farEnd = await startFarEnd(({ path }, response) => {
    const [, verb, amount] = path.split('/');
    const seen = failures.get(path) ?? 0;
    failures.set(path, seen + 1);
    if (verb === 'never') return;
    if (verb === 'fail' && seen < Number(amount)) response.statusCode = 503;
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ path }));
  });
});
afterAll(async () => {
  await gateway.close();
  await farEnd.close();
});

async function run(tasks: string, input: unknown = {}, rest: Record<string, unknown> = {}) {
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf(parse(tasks.replaceAll('URL', farEnd.url)), rest), input },
  });
  expect(body.id, JSON.stringify(body)).toBeDefined();
  return body;
}

async function events(id: string) {
  const { body } = await gateway.call('GET', `/v1/runs/${id}/events`);
  return (body as string)
    .split('\n')
    .filter(line => line.startsWith('data: '))
    .map(line => JSON.parse(line.slice(6)));
}

test('fork gives the outputs of its branches in the order in which they are written', async () => {
  const body = await run(
    `
    - split:
        fork:
          branches:
            - slow: { do: [ { a: { wait: { milliseconds: 60 } } }, { b: { set: { who: slow, x: '\${ .x }' } } } ] }
            - quick: { set: { who: quick } }
            - third: { set: { who: third } }
  `,
    { x: 5 },
  );
  expect(body).toMatchObject({
    status: 'completed',
    output: [{ who: 'slow', x: 5 }, { who: 'quick' }, { who: 'third' }],
  });
});

test('fork with compete ends with the first, and calls the others off', async () => {
  const body = await run(`
    - race:
        fork:
          compete: true
          branches:
            - stuck: { call: http, with: { method: get, endpoint: URL/never } }
            - quick: { do: [ { a: { wait: { milliseconds: 30 } } }, { b: { set: { who: quick } } } ] }
    - after: { set: { winner: '\${ .who }' } }
  `);
  expect(body).toMatchObject({ status: 'completed', output: { winner: 'quick' } });
});

test('a branch that fails fails the fork, with the place of the task that failed', async () => {
  const body = await run(`
    - split:
        fork:
          branches:
            - waits: { wait: PT1H }
            - breaks: { raise: { error: { type: 'https://test.example/broken', status: 418, title: Broken } } }
  `);
  expect(body).toMatchObject({
    status: 'failed',
    error: {
      type: 'https://test.example/broken',
      status: 418,
      title: 'Broken',
      reason: 'raised',
      instance: '/do/0/split/fork/branches/1/breaks',
    },
  });
});

test('an error has what is said of it and nothing else, whatever its expressions give', async () => {
  const raised = async (error: string, input: unknown = {}) => {
    const body = await run(`\n    - raise: { raise: { error: ${error} } }\n`, input);
    return body.error;
  };
  expect(await raised("{ type: 'https://test.example/bare', status: 418 }")).toEqual({
    type: 'https://test.example/bare',
    status: 418,
    title: '',
    detail: '',
    instance: '/do/0/raise',
    reason: 'raised',
  });
  const told =
    "{ type: 'https://test.example/told', status: 418, title: '${ .title }', detail: '${ .none }' }";
  expect(await raised(told, { title: { toString: null } })).toMatchObject({
    title: '{"toString":null}',
    detail: '',
  });
});

test('for goes through a collection, each turn on what the one before gave', async () => {
  const body = await run(
    `
    - sum:
        for: { each: n, in: .numbers, at: i }
        do:
          - add: { set: { sum: '\${ (.sum // 0) + $n * $i }', numbers: '\${ .numbers }' } }
  `,
    { numbers: [5, 6, 7] },
  );
  expect(body.output.sum).toBe(20);
});

test('for ends before its condition fails; an empty collection gives the input', async () => {
  const tasks = `
    - grow:
        for: { each: n, in: .numbers }
        while: (.sum // 0) < 10
        do: [ { add: { set: { sum: '\${ (.sum // 0) + $n }' } } } ]
  `;
  expect((await run(tasks, { numbers: [4, 4, 4, 4, 4] })).output).toEqual({ sum: 12 });
  expect((await run(tasks, { numbers: [] })).output).toEqual({ numbers: [] });
});

test('for with concurrency is a map: in the order of the items, so many at a time', async () => {
  const body = await run(
    `
    - map:
        for: { each: n, in: .numbers }
        do:
          - pause: { if: $n == 1, wait: { milliseconds: 50 } }
          - square: { set: { square: '\${ $n * $n }' } }
        metadata: { gateway: { concurrency: 3 } }
  `,
    { numbers: [1, 2, 3, 4, 5, 6, 7] },
  );
  expect(body.output.map((each: { square: number }) => each.square)).toEqual([1, 4, 9, 16, 25, 36, 49]);
  const seen = await events(body.id);
  let open = 0;
  let most = 0;
  for (const { type, task } of seen) {
    if (type === 'branch-opened') most = Math.max(most, ++open);
    if (type === 'task-completed' && task.endsWith('square')) open--;
  }
  expect(most).toBe(3);
});

test('try catches, with the error in scope, and goes on', async () => {
  const body = await run(
    `
    - careful:
        try: [ { breaks: { raise: { error: { type: 'https://test.example/a', status: 400, title: A, detail: why } } } } ]
        catch:
          errors: { with: { status: 400 } }
          as: problem
          do: [ { answer: { set: { because: '\${ $problem.detail }', x: '\${ .x }' } } } ]
    - after: { set: { seen: '\${ .because }', x: '\${ .x }' } }
  `,
    { x: 1 },
  );
  expect(body).toMatchObject({ status: 'completed', output: { seen: 'why', x: 1 } });
});

test('try does not catch what it does not name, and what its conditions leave out', async () => {
  const tasks = (rest: string) => `
    - careful:
        try: [ { breaks: { raise: { error: { type: 'https://test.example/a', status: 400, title: A } } } } ]
        catch: { ${rest}, do: [ { answer: { set: { caught: true } } } ] }
  `;
  const bodies = await Promise.all(
    [
      'errors: { with: { status: 500 } }',
      "when: '${ $error.status == 500 }'",
      "exceptWhen: '${ $error.status == 400 }'",
      "when: '${ $error.status == 400 }'",
    ].map(rest => run(tasks(rest))),
  );
  expect(bodies.map(body => body.status)).toEqual(['failed', 'failed', 'failed', 'completed']);
});

test('[F84] a retry waits longer each time, is counted, and each attempt is a visit of its own', async () => {
  const body = await run(`
    - careful:
        try: [ { ask: { call: http, with: { method: get, endpoint: URL/fail/2 } } } ]
        catch:
          errors: { with: { status: 503 } }
          retry: { delay: { milliseconds: 20 }, backoff: { exponential: {} }, limit: { attempt: { count: 4 } } }
  `);
  expect(body).toMatchObject({ status: 'completed', output: { path: '/fail/2' } });
  const attempts = (await events(body.id)).filter(({ type }) => type === 'call-started');
  expect(attempts.map(each => each.visit)).toEqual([1, 2, 3]);
  const at = attempts.map(each => Date.parse(each.at));
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(20);
  expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThanOrEqual(40);
});

test('retries end; then the error is caught, or is the error of the run', async () => {
  const retry = '{ delay: { milliseconds: 1 }, limit: { attempt: { count: 2 } } }';
  const tasks = (path: string, rest: string) => `
    - careful:
        try: [ { ask: { call: http, with: { method: get, endpoint: URL/fail/${path} } } } ]
        catch: { retry: ${retry}${rest} }
  `;
  const caught = await run(tasks('98', ', do: [ { answer: { set: { gave: up } } } ]'));
  expect(caught).toMatchObject({ status: 'completed', output: { gave: 'up' } });
  expect(failures.get('/fail/98')).toBe(3);
});

test('what had completed is undone before the error is answered, the newest first', async () => {
  const step = (name: string) => `
          - ${name}:
              set: { made: ${name} }
              metadata: { gateway: { compensate: { call: http, with: { method: get, endpoint: '\${ "URL/undo/" + .output.made }' } } } }`;
  const saga = (name: string, rest: string) => `
    - saga:
        try:${step(`${name}-a`)}${step(`${name}-b`)}
          - breaks: { raise: { error: { type: 'https://test.example/broken', status: 500, title: Broken } } }
        catch: ${rest}
  `;
  const undone = (name: string) =>
    farEnd.received.map(each => each.path).filter(path => path.startsWith(`/undo/${name}`));
  const caught = await run(saga('caught', '{ do: [ { answer: { set: { ok: false } } } ] }'));
  expect(caught).toMatchObject({ status: 'completed', output: { ok: false } });
  expect(undone('caught')).toEqual(['/undo/caught-b', '/undo/caught-a']);
  const failed = await run(saga('failed', '{ errors: { with: { status: 400 } } }'));
  expect(failed).toMatchObject({ status: 'failed', error: { type: 'https://test.example/broken' } });
  expect(undone('failed')).toEqual(['/undo/failed-b', '/undo/failed-a']);
});

test('a run that is cancelled undoes what it did; one that is terminated does not', async () => {
  const tasks = (name: string) => `
    - act:
        set: { made: ${name} }
        metadata: { gateway: { compensate: { call: http, with: { method: get, endpoint: URL/undo/${name} } } } }
    - pause: { wait: PT1H }
  `;
  for (const verb of ['cancel', 'terminate']) {
    const { body } = await gateway.call('POST', '/v1/runs', {
      body: { definition: definitionOf(parse(tasks(verb).replaceAll('URL', farEnd.url))) },
    });
    await reach(body.id, 'waiting');
    await gateway.call('POST', `/v1/runs/${body.id}:${verb}`);
    await reach(body.id, verb === 'cancel' ? 'cancelled' : 'terminated');
  }
  const undone = farEnd.received.map(each => each.path);
  expect(undone).toContain('/undo/cancel');
  expect(undone).not.toContain('/undo/terminate');
});

test('a paused run begins nothing, and goes on where it was', async () => {
  const { body } = await gateway.call('POST', '/v1/runs', {
    body: {
      definition: definitionOf(parse('[ a: { wait: { milliseconds: 200 } }, b: { set: { done: true } } ]')),
    },
  });
  await gateway.call('POST', `/v1/runs/${body.id}:pause`);
  await reach(body.id, 'paused');
  await gateway.call('POST', `/v1/runs/${body.id}:resume`);
  expect(await reach(body.id, 'completed')).toMatchObject({ output: { done: true } });
});

test('[G4] a fan-out wider than the limit pauses the run, which goes on when it is granted more', async () => {
  const tasks = parse(`
    - map:
        for: { each: n, in: '[range(20)]' }
        do: [ { one: { set: { n: $n } } } ]
        metadata: { gateway: { concurrency: 20 } }
  `);
  const head = { dsl: '1.0.3', namespace: 'test', name: 'flow', version: '1.0.0' };
  const document = { ...head, metadata: { gateway: { limits: { fanOut: 10 } } } };
  const { body } = await gateway.call('POST', '/v1/runs', {
    body: { definition: definitionOf(tasks, { document }) },
  });
  const paused = await reach(body.id, 'paused');
  expect(paused.pause).toMatchObject({ error: { reason: 'run_limit_reached', instance: '/do/0/map' } });
  await gateway.call('POST', `/v1/runs/${body.id}:resume`, { body: { limits: { fan_out: 20 } } });
  expect((await reach(body.id, 'completed')).output).toHaveLength(20);
});

async function reach(id: string, status: string) {
  for (let tries = 0; tries < 1000; tries++) {
    const { body } = await gateway.call('GET', `/v1/runs/${id}`);
    if (body.status === status) return body;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`The run did not become ${status}`);
}
