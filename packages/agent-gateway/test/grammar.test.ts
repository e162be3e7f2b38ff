import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** Constructs of the specification 1.0.3 that its examples do not show, one by one: what they do, or why they are refused. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

async function runOf(tasks: unknown, { input = {}, ...rest }: Record<string, unknown> = {}) {
  const body = { definition: definitionOf(tasks, rest), input };
  const answer = await gateway.call('POST', '/v1/runs?wait=20', { body });
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
}

async function outputOf(tasks: unknown, rest?: Record<string, unknown>) {
  const run = await runOf(tasks, rest);
  expect(run.status, JSON.stringify(run.error)).toBe('completed');
  return run.output;
}

async function mistakesOf(tasks: unknown, rest: Record<string, unknown> = {}) {
  const { status, body } = await gateway.call('POST', '/v1/workflows:validate', {
    body: definitionOf(tasks, rest),
  });
  expect(status, JSON.stringify(body)).toBe(400);
  return Object.fromEntries(
    body.errors.map((each: { pointer: string; message: string }) => [each.pointer, each.message]),
  );
}

describe('durations', () => {
  test('weeks, and expressions wherever a task has one', async () => {
    const tasks = [
      { nap: { wait: '${ .pause }', timeout: { after: '${ .limit }' } } },
      {
        often: {
          try: [{ bad: { raise: { error: { type: 'https://test.example/bad', status: 503 } } } }],
          catch: {
            retry: {
              delay: '${ .pause }',
              jitter: { from: '${ .pause }', to: { milliseconds: 2 } },
              limit: { attempt: { count: 2, duration: '${ .limit }' }, duration: 'P1W' },
            },
            do: [{ caught: { set: { status: '${ $error.status }' } } }],
          },
        },
      },
    ];
    expect(await outputOf(tasks, { input: { pause: 'PT0.001S', limit: 'P1W' } })).toEqual({ status: 503 });
  });

  test('an expression that gives none, months, and one that would have to be known before there is a run', async () => {
    const run = await runOf([{ nap: { wait: '${ .pause }' } }], { input: { pause: 'soon' } });
    expect(run).toMatchObject({
      status: 'failed',
      error: { reason: 'expression_failed', instance: '/do/0/nap' },
    });
    const found = await mistakesOf([{ nap: { wait: 'P2M' } }], { schedule: { every: '${ .pause }' } });
    expect(found['/do/0/nap/wait']).toMatch('Months and years');
    expect(found['/schedule/every']).toMatch('Expected a duration');
  });

  test('an attempt that takes longer than an attempt may is over, and the next one begins', async () => {
    const tasks = [
      {
        often: {
          try: [{ slow: { wait: 'PT1H' } }],
          catch: {
            errors: { with: { status: 408 } },
            retry: { limit: { attempt: { count: 2, duration: { milliseconds: 5 } } } },
            do: [{ given_up: { set: { type: '${ $error.type }' } } }],
          },
        },
      },
    ];
    const run = await runOf(tasks);
    expect(run.output).toEqual({ type: 'https://serverlessworkflow.io/spec/1.0.0/errors/timeout' });
    const { body } = await gateway.call('GET', `/v1/runs/${run.id}/events?types=task-started`, {
      headers: { accept: 'text/event-stream' },
    });
    expect(body.match(/"task":"[^"]*\/attempt\/do\/0\/slow"/g)).toHaveLength(3);
  });
});

describe('what expressions see', () => {
  test('$task: name, reference, definition as it was written, input and output before they are transformed', async () => {
    const definition = {
      input: { from: '.inner' },
      set: { seen: '${ $task }' },
      output: { as: '${ { seen: .seen, raw: $task.output } }' },
    };
    const output = await outputOf([{ 'a/b': definition }], { input: { inner: { n: 1 } } });
    expect(output.seen).toMatchObject({
      name: 'a/b',
      reference: '/do/0/a~1b',
      definition,
      input: { inner: { n: 1 } },
    });
    expect(output.seen.startedAt.epoch.milliseconds).toBeGreaterThan(0);
    expect(output.raw).toEqual({ seen: output.seen });
  });

  test('$workflow and $runtime', async () => {
    const tasks = [{ look: { set: { workflow: '${ $workflow }', runtime: '${ $runtime.name }' } } }];
    const output = await outputOf(tasks, { input: { n: 1 }, timeout: { after: 'PT1H' } });
    expect(output.workflow).toMatchObject({
      definition: { document: { name: 'flow' }, do: tasks, timeout: { after: 'PT1H' } },
      input: { n: 1 },
    });
    expect(output.runtime).toBe('strata');
  });

  test('names of lists: any that jq takes and that hide nothing', async () => {
    const loop = (each: string) => ({ for: { each, in: '[1, 2]', at: '_At' }, do: [] });
    expect(
      await outputOf([
        { loop: { ...loop('Item_1'), do: [{ add: { set: { sum: '${ (.sum // 0) + $Item_1 + $_At }' } } }] } },
      ]),
    ).toEqual({ sum: 4 });
    const found = await mistakesOf([
      { a: loop('input') },
      { b: loop('x-y') },
      { c: { try: [], catch: { as: 'task' } } },
      { d: { listen: { to: { any: [] } }, foreach: { item: '__loc__' } } },
    ]);
    expect(found['/do/0/a/for/each']).toMatch("'input' is the name of something else");
    expect(found['/do/1/b/for/each']).toMatch('Expected a name');
    expect(Object.keys(found)).toEqual(expect.arrayContaining(['/do/2/c/catch/as', '/do/3/d/foreach/item']));
  });

  test('neither secrets nor what a call was authorized with', async () => {
    const found = await mistakesOf([
      { a: { set: { x: '${ $authorization.parameter }', y: '${ $secrets.z }' } } },
    ]);
    expect(found['/do/0/a/set/x']).toMatch('credential');
    expect(found['/do/0/a/set/y']).toMatch('secret');
  });
});

describe('calls and runs', () => {
  test('a part of an address without a value is empty, one with parts is an error, and what an expression gives stays as it is', async () => {
    const get = (endpoint: unknown) => ({ call: 'http', with: { method: 'get', endpoint } });
    const failure = async (endpoint: unknown, input: unknown) =>
      (await runOf([{ get: get(endpoint) }], { input })).error;
    const withParts = await failure('http://127.0.0.1:9/{pet}', { pet: { id: 1 } });
    expect(withParts).toMatchObject({ reason: 'expression_failed' });
    const unknown = { detail: expect.stringContaining("'a-.example'") };
    expect(await failure('http://a-{none}.example/', {})).toMatchObject(unknown);
    const kept = await failure('${ .address }', { address: 'http://b-{id}.example/', id: 1 });
    expect(kept.detail).toContain('b-{id}.example');
  });

  test('run: workflow with `return`, without waiting, and in its latest version', async () => {
    for (const version of ['1.9.0', '1.10.0', '2.0.0-rc.1', '1.10.0+build']) {
      const document = { dsl: '1.0.3', namespace: 'test', name: 'child', version };
      const body = { document, do: [{ say: { set: { version } } }] };
      const path = `/v1/workflows/test/child/${encodeURIComponent(version)}`;
      expect((await gateway.call('PUT', path, { body })).status).toBe(201);
    }
    const run = (version: string, rest: object = {}) => ({
      run: { workflow: { namespace: 'test', name: 'child', version }, ...rest },
    });
    expect(await outputOf([{ a: run('1.9.0') }])).toEqual({ version: '1.9.0' });
    expect(await outputOf([{ a: run('1.9.0', { return: 'none' }) }])).toBeNull();
    expect(await outputOf([{ a: run('1.9.0', { await: false }) }], { input: { n: 1 } })).toEqual({ n: 1 });
    expect(await outputOf([{ a: run('latest') }])).toEqual({ version: '1.10.0+build' });
    const started = await gateway.call('POST', '/v1/runs?wait=20', {
      body: { workflow: 'test/child@latest' },
    });
    expect(started.body.output).toEqual({ version: '1.10.0+build' });
    const found = await mistakesOf([{ a: run('1.0.0', { return: 'code' }) }]);
    expect(found['/do/0/a/run/return']).toMatch('no exit code');
  });

  test('call: mcp with a timeout of its own, and what belongs to mcp-gateway', async () => {
    const call = (rest: object) => ({ call: 'mcp', with: { method: 'tools/list', ...rest } });
    const endpoint = { uri: 'https://mcp-gateway.local/mcp' };
    const run = await runOf([
      { a: call({ timeout: { milliseconds: 1 }, transport: { http: { endpoint } } }) },
    ]);
    expect(run.status).toBe('failed');
    const found = await mistakesOf([
      { a: call({ timeout: 'soon' }) },
      { b: call({ transport: { http: { endpoint, headers: { a: 'b' } }, options: { a: 'b' } } }) },
    ]);
    expect(found['/do/0/a/with/timeout']).toMatch('Expected a duration');
    expect(found['/do/1/b/with/transport/http/headers']).toMatch('mcp-gateway');
    expect(found['/do/1/b/with/transport/options']).toMatch('mcp-gateway');
  });

  test('functions of catalogs, by name and by address, are refused with the reason', async () => {
    const found = await mistakesOf([
      { a: { call: 'log:1.0.0@global' } },
      { b: { call: 'https://x.example/f.yaml' } },
    ]);
    expect(found['/do/0/a/call']).toMatch('functions of catalogs are not fetched');
    expect(found['/do/1/b/call']).toMatch('functions of catalogs are not fetched');
  });

  test('authentications by name stand for themselves wherever one may be', async () => {
    const store = { use: 'store' };
    const use = { authentications: { store: { basic: { username: 'a', password: 'b' } } } };
    const document = { endpoint: { uri: 'https://x.example/api.json', authentication: store } };
    const openapi = { call: 'openapi', with: { document, operationId: 'x', authentication: store } };
    const compensate = { call: 'http', with: { method: 'post', endpoint: document.endpoint } };
    const tasks = [{ a: { ...openapi, metadata: { gateway: { compensate } } } }];
    const { status, body } = await gateway.call('POST', '/v1/workflows:validate', {
      body: definitionOf(tasks, { use }),
    });
    expect(status, JSON.stringify(body)).toBe(200);
  });
});

describe('errors', () => {
  test('a catch without a filter, one switch case without a condition, a strategy without members', async () => {
    const bad = { bad: { raise: { error: { type: 'https://test.example/bad', status: 400 } } } };
    expect(
      await outputOf([{ safe: { try: [bad], catch: { errors: {}, do: [{ ok: { set: { ok: 1 } } }] } } }]),
    ).toEqual({ ok: 1 });
    const found = await mistakesOf([
      { a: { switch: [{ x: { then: 'end' } }, { y: { then: 'exit' } }] } },
      { b: { switch: [{ x: { when: 'true' } }] } },
      { c: { try: [bad], catch: { retry: { backoff: { linear: { increment: 'PT1S' } } } } } },
    ]);
    expect(found['/do/0/a/switch']).toMatch('Only one case');
    expect(found['/do/1/b/switch/0/x/then']).toMatch('where it leads');
    expect(found['/do/2/c/catch/retry/backoff/linear/increment']).toMatch('not known');
  });

  test('a mistake inside a function is told where the function stands', async () => {
    const found = await mistakesOf([{ a: { call: 'f', with: { x: '${ ( }' } } }, { b: { call: 'f' } }], {
      use: { functions: { f: { do: [{ inner: { set: { y: '${ ) }' } } }] } } },
    });
    expect(Object.keys(found).sort()).toEqual(['/do/0/a/with/x', '/use/functions/f/do/0/inner/set/y']);
  });
});

describe('extensions', () => {
  const logged = (where: string) => ({
    log: { set: { '${ "x" }': 1 }, metadata: { where } },
  });

  test('what is done around a task changes neither what it begins with nor what it gives', async () => {
    const run = await runOf(
      [
        { first: { input: { from: '.n' }, set: { twice: '${ . * 2 }' }, output: { as: '.twice' } } },
        { second: { set: { got: '${ . }', name: '${ $task.name }', at: '${ $task.reference }' } } },
      ],
      {
        input: { n: 21 },
        use: {
          extensions: [
            {
              outer: {
                extend: 'all',
                before: [{ begun: { emit: event('begun', '${ { task: $task.reference, with: . } }') } }],
                after: [{ ended: { emit: event('ended', '${ { task: $task.reference, gave: . } }') } }],
              },
            },
            {
              inner: {
                extend: 'set',
                before: [{ noise: { set: { lost: true } } }],
                after: [logged('inner')],
              },
            },
            { never: { extend: 'call', before: [logged('never')] } },
          ],
        },
      },
    );
    expect(run).toMatchObject({
      status: 'completed',
      output: { got: 42, name: 'second', at: '/do/1/second' },
    });
    expect(await emitted(run.id)).toEqual([
      ['begun', { task: '/do/0/first', with: 21 }],
      ['ended', { task: '/do/0/first', gave: { twice: 42 } }],
      ['begun', { task: '/do/1/second', with: 42 }],
      ['ended', { task: '/do/1/second', gave: run.output }],
    ]);
  });

  test('a task before it that exits stands in for it; `when` decides for which tasks', async () => {
    const call = (endpoint: string) => ({ call: 'http', with: { method: 'get', endpoint } });
    const output = await outputOf(
      [
        { fetch: { ...call('https://mocked.example/a'), output: { as: '.content' } } },
        { again: { if: '.never', ...call('https://mocked.example/b') } },
        { keep: { set: '${ . }' } },
      ],
      {
        use: {
          extensions: [
            {
              mock: {
                extend: 'call',
                when: '$task.definition.with.endpoint | startswith("https://mocked.example/a")',
                before: [
                  { answer: { set: { content: { mocked: '${ $task.name }' } }, then: 'exit' } },
                  { unreachable: { raise: { error: { type: 'https://test.example/no', status: 500 } } } },
                ],
              },
            },
            {
              other: {
                extend: 'call',
                when: 'false',
                before: [{ x: { set: { wrong: true }, then: 'exit' } }],
              },
            },
          ],
        },
      },
    );
    expect(output).toEqual({ mocked: 'fetch' });
  });

  test('they hold in lists and in functions, and for a switch, whose cases lead where they did', async () => {
    const run = await runOf(
      [
        { choose: { switch: [{ far: { when: '.n > 1', then: 'third' } }, { other: { then: 'second' } }] } },
        { second: { set: { wrong: true }, then: 'end' } },
        {
          third: {
            for: { in: '[1, 2]' },
            do: [{ step: { call: 'plus', with: { n: '${ .n }', more: '${ $item }' } } }],
          },
        },
      ],
      {
        input: { n: 2 },
        use: {
          functions: { plus: { set: { n: '${ .n + .more }' } } },
          extensions: [
            { trace: { extend: 'all', after: [{ tell: { emit: event('did', '${ $task.name }') } }] } },
          ],
        },
      },
    );
    expect(run).toMatchObject({ status: 'completed', output: { n: 5 } });
    const names = (await emitted(run.id)).map(([, name]) => name);
    expect(names).toEqual(['choose', 'plus', 'step', 'plus', 'step', 'third']);
  });

  test('an error keeps the place that its author knows, and is caught as ever', async () => {
    const raise = { raise: { error: { type: 'https://test.example/bad', status: 400 } } };
    const use = { extensions: [{ e: { extend: 'raise', before: [{ x: { set: { a: 1 } } }] } }] };
    const failed = await runOf([{ bad: raise }], { use });
    expect(failed).toMatchObject({ status: 'failed', error: { instance: '/do/0/bad' } });
    const caught = [{ safe: { try: [{ bad: raise }], catch: { do: [{ ok: { set: { ok: true } } }] } } }];
    expect(await outputOf(caught, { use })).toEqual({ ok: true });
  });

  test('mistakes are told where they were written, once', async () => {
    const extensions = [
      {
        e: {
          extend: 'all',
          when: '.a |',
          before: [{ x: { set: '${ ( }' } }],
          after: [{ y: { wait: 'soon' } }],
        },
      },
      { f: { extend: 'everything', colour: 'red', before: {} } },
      { g: {}, h: {} },
    ];
    const found = await mistakesOf([{ a: { set: { x: '${ ) }' } } }, { b: { set: { x: 1 } } }], {
      use: { extensions },
    });
    expect(Object.keys(found).sort()).toEqual(
      [
        '/do/0/a/set/x',
        '/use/extensions/0/e/after/0/y/wait',
        '/use/extensions/0/e/before/0/x/set',
        '/use/extensions/0/e/when',
        '/use/extensions/1/f/before',
        '/use/extensions/1/f/colour',
        '/use/extensions/1/f/extend',
        '/use/extensions/2',
      ].sort(),
    );
  });

  const event = (type: string, data: string) => ({
    event: { with: { source: 'https://test.example', type, data } },
  });

  async function emitted(run: string): Promise<[string, unknown][]> {
    const { body } = await gateway.call('GET', `/v1/runs/${run}/events?types=event-emitted`);
    const lines: string[] = body.split('\n').filter((line: string) => line.startsWith('data:'));
    return lines.map(line => {
      const { type, data } = JSON.parse(line.slice(5)).event;
      return [type, data];
    });
  }
});
