import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const put = (body: unknown, path = '/v1/workflows/test/flow/1.0.0') => gateway.call('PUT', path, { body });
const submit = (definition: unknown) => gateway.call('POST', '/v1/runs', { body: { definition } });

async function mistakesOf(
  tasks: unknown,
  rest: Record<string, unknown> = {},
): Promise<Record<string, string>> {
  const { status, body } = await submit(definitionOf(tasks, rest));
  expect(status, JSON.stringify(body)).toBe(400);
  expect(body.reason).toBe('definition_invalid');
  return Object.fromEntries(
    body.errors.map((each: { pointer: string; message: string }) => [each.pointer, each.message]),
  );
}

test('every mistake is reported at once, with its pointer and its line', async () => {
  const yaml = `document:
  dsl: '1.0.3'
  namespace: test
  name: flow
  version: 1.0
do:
  - first:
      set: 5
      then: nowhere
  - second:
      call: http
      with:
        method: get
        endpoint: ftp://host/x
        colour: red
  - third:
      if: .a |
      wait: soon
  - third:
      fork: {}
  - fourth:
      sett: {}
`;
  const { status, headers, body } = await put(yaml);
  expect(status).toBe(400);
  expect(headers.get('content-type')).toMatch('application/problem+json');
  expect(body).toMatchObject({ type: 'urn:strata:error:definition_invalid', status: 400, retryable: false });
  const found = body.errors.map((each: { pointer: string; line: number }) => [each.pointer, each.line]);
  expect(found).toEqual(
    expect.arrayContaining([
      ['/document/version', 5],
      ['/do/0/first/set', 8],
      ['/do/0/first/then', 9],
      ['/do/1/second/with/colour', 15],
      ['/do/2/third/if', 17],
      ['/do/2/third/wait', 18],
      ['/do/3/third', 20],
      ['/do/3/third/fork/branches', 20],
      ['/do/4/fourth', 22],
    ]),
  );
});

describe('what is not run is refused when it is submitted, and says why', () => {
  test.each([
    ['run', { run: { shell: { command: 'ls' } } }, '/do/0/t/run', 'Running containers'],
    ['call: grpc', { call: 'grpc', with: {} }, '/do/0/t/call', 'gRPC'],
    ['call: something', { call: 'something' }, '/do/0/t/call', "no function 'something'"],
  ])('%s', async (_name, task, pointer, why) => {
    expect((await mistakesOf([{ t: task }]))[pointer]).toContain(why);
  });

  test('a tool server that is not behind mcp-gateway, and stdio', async () => {
    const call = (transport: unknown) => ({ call: 'mcp', with: { method: 'tools/list', transport } });
    const found = await mistakesOf([
      { a: call({ http: { endpoint: 'https://evil.example/mcp' } }) },
      { b: call({ stdio: { command: 'sh' } }) },
    ]);
    expect(found['/do/0/a/with/transport/http/endpoint']).toContain('mcp-gateway only');
    expect(Object.keys(found).some(pointer => pointer.startsWith('/do/1/b/with/transport'))).toBe(true);
  });

  test('schemas elsewhere, schedules, parts of `use`, another language', async () => {
    const found = await mistakesOf(
      [
        {
          t: {
            set: {},
            input: { schema: { resource: { endpoint: 'http://x/' } } },
            output: { schema: { format: 'avro' } },
          },
        },
      ],
      {
        schedule: { sometimes: true },
        use: { secrets: 'x', catalogs: {}, extensions: {}, colours: {} },
        evaluate: { language: 'javascript', mode: 'loose' },
      },
    );
    expect(Object.keys(found).sort()).toEqual(
      [
        '/do/0/t/input/schema/resource',
        '/do/0/t/output/schema/format',
        '/evaluate/language',
        '/evaluate/mode',
        '/schedule/sometimes',
        '/use/catalogs',
        '/use/colours',
        '/use/extensions',
        '/use/secrets',
      ].sort(),
    );
  });
});

describe('reusable components', () => {
  test('a function is a task with its arguments as input; names of timeouts stand for what they name', async () => {
    const double = { input: { from: '${ .number }' }, set: { twice: '${ . * 2 }' } };
    const definition = definitionOf(
      [
        {
          first: {
            call: 'double',
            with: { number: '${ .start }' },
            timeout: 'short',
            output: { as: '.twice' },
          },
        },
        { second: { call: 'quadruple', with: { it: '${ . }' } } },
      ],
      {
        timeout: 'long',
        use: {
          timeouts: { short: { after: 'PT30S' }, long: { after: 'PT1M' } },
          functions: {
            double,
            quadruple: {
              do: [
                { once: { call: 'double', with: { number: '${ .it }' }, output: { as: '.twice' } } },
                { again: { call: 'double', with: { number: '${ . }' } } },
              ],
            },
          },
        },
      },
    );
    const run = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input: { start: 5 } } });
    expect(run.body).toMatchObject({ status: 'completed', output: { twice: 40 } });
  });

  test('a name that stands for nothing, a function that calls itself', async () => {
    const found = await mistakesOf(
      [
        { a: { set: {}, timeout: 'nope' } },
        { b: { call: 'loop' } },
        {
          c: {
            call: 'http',
            with: { method: 'get', endpoint: { uri: 'http://x/', authentication: { use: 'nope' } } },
          },
        },
      ],
      {
        use: {
          timeouts: { short: { after: 'PT1S' } },
          functions: { loop: { do: [{ again: { call: 'loop' } }] } },
        },
      },
    );
    expect(found['/do/0/a/timeout']).toContain("no 'nope' under `use.timeouts` (known: short)");
    expect(found['/use/functions/loop/do/0/again/call']).toContain('calls itself');
    expect(found['/do/2/c/with/endpoint/authentication/use']).toContain('there are none');
  });
});

test('what only the grammar of the specification knows is told with the rest, and nothing twice', async () => {
  const found = await mistakesOf(
    [
      { a: { set: { x: '${ ( }' } } },
      { b: { do: [{ inner: { set: { x: 1 }, metadata: 'text' } }] } },
      { c: { wait: 'soon' } },
      { d: { call: 'http', with: { method: 'get', endpoint: 'https://x.example/', headers: { a: 1 } } } },
    ],
    { document: { dsl: '1.0.3', namespace: 'test', name: 'flow', version: '1.0.0', summary: 5 } },
  );
  expect(Object.keys(found).sort()).toEqual([
    '/do/0/a/set/x',
    '/do/1/b/do/0/inner/metadata',
    '/do/2/c/wait',
    '/do/3/d/with/headers/a',
    '/document/summary',
  ]);
});

test.each(['1.0.0', '1.0.1', '1.0.2', '1.0.3'])('documents of the language %s are taken', async dsl => {
  const document = { dsl, namespace: 'test', name: 'flow', version: '1.0.0' };
  expect((await submit(definitionOf([{ t: { set: { a: 1 } } }], { document }))).status).toBe(202);
});

test.each(['1.1.0', '1.0.4', '0.8', '2.0.0', 1, null])('of the language %j no document is', async dsl => {
  const document = { dsl, namespace: 'test', name: 'flow', version: '1.0.0' };
  const found = await mistakesOf([{ t: { set: { a: 1 } } }], { document });
  expect(found).toEqual({ '/document/dsl': expect.stringContaining("'1.0.3'") });
});

test('what is missing is said to be missing', async () => {
  const found = await mistakesOf([
    { t: { call: 'human', with: { title: 'Sure?' } } },
    { u: { call: 'llm' } },
  ]);
  expect(found).toMatchObject({
    '/do/0/t/with/deadline': 'It is missing.',
    '/do/1/u/with': 'It is missing.',
  });
});

test('the grammar of the specification has the last word', async () => {
  const found = await mistakesOf([{ t: { set: { a: 1 }, metadata: 'text' } }]);
  expect(Object.values(found).join()).toContain('Not valid by the specification');
});

test('MCP calls are valid with the gateway as their transport, and without any', async () => {
  const call = (rest: object) => ({ call: 'mcp', with: { method: 'tools/list', ...rest } });
  const tasks = [
    { a: call({}) },
    {
      b: call({
        transport: { http: { endpoint: 'https://mcp-gateway.local/mcp' } },
        protocolVersion: '2025-06-18',
      }),
    },
  ];
  expect((await submit(definitionOf(tasks))).status).toBe(202);
});

test('an error that is not there is one mistake', async () => {
  const { body } = await put(definitionOf([{ fail: { raise: { error: 'gone' } } }]));
  expect(body.errors).toMatchObject([
    { pointer: '/do/0/fail/raise/error', message: expect.stringMatching(/no 'gone'/) },
  ]);
});

test('names: reserved words, two tasks of one name, a path into another list', async () => {
  const found = await mistakesOf([
    { end: { set: {} } },
    { same: { set: {} } },
    { same: { set: {} } },
    { outer: { do: [{ inner: { set: {}, then: 'same' } }] } },
  ]);
  expect(Object.keys(found)).toEqual(
    expect.arrayContaining(['/do/0/end', '/do/2/same', '/do/3/outer/do/0/inner/then']),
  );
});

test('an expression is checked at submission wherever it stands', async () => {
  const found = await mistakesOf([
    { a: { set: { deep: [{ x: '${ . | nonsense }' }] } } },
    { b: { call: 'agent', with: { model: 'm', input: '${ $missing }' } } },
    { c: { set: {}, export: { as: '.a +' }, output: { as: { k: '${ ( }' } } } },
  ]);
  expect(Object.keys(found).sort()).toEqual([
    '/do/0/a/set/deep/0/x',
    '/do/1/b/with/input',
    '/do/2/c/export/as',
    '/do/2/c/output/as/k',
  ]);
});
