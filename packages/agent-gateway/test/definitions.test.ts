import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readYaml } from '../src/dsl/source.ts';
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

describe('workflows under a name', () => {
  const document = definitionOf([{ a: { set: { x: 1 } } }]);

  test('a version is written once: the same again is fine, another one is refused', async () => {
    const first = await put(document);
    expect([first.status, first.headers.get('etag')]).toEqual([201, `"${first.body.definition}"`]);
    const yaml =
      'do:\n  - a:\n      set: { x: 1 }\ndocument: { version: 1.0.0, name: flow, namespace: test, dsl: 1.0.3 }\n';
    const same = await put(yaml);
    expect([same.status, same.body.definition]).toEqual([200, first.body.definition]);
    const other = await put(definitionOf([{ a: { set: { x: 2 } } }]));
    expect([other.status, other.body.reason]).toEqual([409, 'workflow_version_exists']);
    const read = await gateway.call('GET', '/v1/workflows/test/flow/1.0.0');
    expect(read.body).toMatchObject({ document, definition: first.body.definition });
  });

  test('the path and the document name the same workflow', async () => {
    const { status, body } = await put(document, '/v1/workflows/test/other/2.0.0');
    expect([status, body.reason]).toEqual([400, 'workflow_name_mismatch']);
    expect(body.errors.map((each: { pointer: string }) => each.pointer)).toEqual([
      '/document/name',
      '/document/version',
    ]);
  });

  test('they are listed in pages, and seen by their tenant alone', async () => {
    for (const version of ['3.0.0', '3.1.0', '3.2.0']) {
      const named = { ...document, document: { ...document.document, name: 'paged', version } };
      expect((await put(named, `/v1/workflows/test/paged/${version}`)).status).toBe(201);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query: string = cursor === undefined ? '' : `&cursor=${cursor}`;
      const { body } = await gateway.call('GET', `/v1/workflows?limit=2${query}`);
      seen.push(
        ...body.workflows.map((each: { name: string; version: string }) => `${each.name} ${each.version}`),
      );
      cursor = body.next_cursor;
    } while (cursor !== undefined);
    expect(seen.filter(each => each.startsWith('paged'))).toEqual([
      'paged 3.0.0',
      'paged 3.1.0',
      'paged 3.2.0',
    ]);
    const foreign = await gateway.deps.createKey({ tenant: 'other' });
    expect((await gateway.call('GET', '/v1/workflows', { key: foreign })).body.workflows).toEqual([]);
    expect((await gateway.call('GET', '/v1/workflows/test/paged/3.0.0', { key: foreign })).status).toBe(404);
  });

  test('[G15] a run of a stored workflow takes a reference and an input, and nothing that changes what it does', async () => {
    await put(document);
    const run = await gateway.call('POST', '/v1/runs?wait=20', { body: { workflow: 'test/flow@1.0.0' } });
    expect(run.body).toMatchObject({ status: 'completed', output: { x: 1 } });
    for (const body of [
      { workflow: 'test/flow@1.0.0', definition: document },
      { workflow: 'test/flow@1.0.0', env: { HOME: '/' } },
      {},
      { workflow: 'no-slashes' },
    ]) {
      const { status, body: problem } = await gateway.call('POST', '/v1/runs', { body });
      expect([status, problem.reason], JSON.stringify(body)).toEqual([400, 'request_invalid']);
    }
    const missing = await gateway.call('POST', '/v1/runs', { body: { workflow: 'test/flow@9.9.9' } });
    expect([missing.status, missing.body.reason]).toEqual([404, 'workflow_not_found']);
  });

  test('a key may be confined to some workflows', async () => {
    const key = await gateway.deps.createKey({ scopes: { ...noScopes, workflows: ['mine/*'] } });
    const refused = await gateway.call('POST', '/v1/runs', { key, body: { definition: document } });
    expect([refused.status, refused.body.reason]).toEqual([403, 'workflow_not_allowed']);
    const mine = { ...document, document: { ...document.document, namespace: 'mine' } };
    const allowed = await gateway.call('POST', '/v1/runs', { key, body: { definition: mine } });
    expect(allowed.status).toBe(202);
    const listed = await gateway.call('GET', '/v1/runs', { key });
    expect(listed.body.runs.map((each: { id: string }) => each.id)).toEqual([allowed.body.id]);
  });
});

describe('hostile documents', () => {
  test.each([
    [
      'anchors that multiply',
      `a: &a [x, x]\n${'bcdefghij'
        .split('')
        .map((name, index) => `${name}: &${name} [${`*${'abcdefghij'[index]}, `.repeat(9)}]`)
        .join('\n')}\n`,
    ],
    ['deep nesting', `a: ${'['.repeat(500)}${']'.repeat(500)}`],
    ['a key that reaches prototypes', '__proto__: { x: 1 }'],
    ['a tab where none may be', 'a:\n\t- b'],
    ['a key twice', 'a: 1\na: 2'],
    ['a tag of another world', 'a: !!js/function "x"'],
    ['two documents', 'a: 1\n---\nb: 2'],
    ['bytes', 'a: !!binary aGVsbG8='],
    ['a set', 'a: !!set { x, y }'],
    ['an ordered map', 'a: !!omap [x: 1]'],
    ['a number without an end', 'a: -.inf'],
    ['no number', 'a: .nan'],
    ['a key that is a list', '? [1, 2]\n: d'],
    ['a key that is nothing', '~: x'],
    ['a merge with what is no map', 'a: { <<: 5 }'],
    ['nothing', ''],
  ])('%s', async (_name, yaml) => {
    const { status, body } = await put(yaml);
    expect(status, JSON.stringify(body)).toBe(400);
    expect(body.reason).toMatch(/^(yaml_syntax|json_|definition_invalid)/);
  });

  test('what YAML can say and JSON cannot is named with its line', () => {
    const refusal = (yaml: string) => {
      try {
        return readYaml(yaml).value;
      } catch (error) {
        return (error as GatewayError).message;
      }
    };
    expect(refusal('a: 1\nb: .inf')).toBe(
      'The document is not valid YAML (line 2): Infinity is no number that JSON has',
    );
    expect(refusal('a: 1\nb:\n  ? [1]\n  : 2')).toBe(
      'The document is not valid YAML (line 3): a key has to be a text',
    );
    expect(refusal('a: !!binary eA==')).toMatch(/line 1\): Unresolved tag/);
    expect(refusal('a: 1\n---\nb: 2')).toMatch(/line 2\): there are several documents/);
  });

  test('an error that is not there is one mistake', async () => {
    const { body } = await put(definitionOf([{ fail: { raise: { error: 'gone' } } }]));
    expect(body.errors).toMatchObject([
      { pointer: '/do/0/fail/raise/error', message: expect.stringMatching(/no 'gone'/) },
    ]);
  });

  test('merge keys give what they name, and what stands beside them comes first', () => {
    const source = readYaml(
      'x: &x { a: 1, b: [2] }\ny: &y { c: 3 }\none: { <<: *x, b: 9 }\nboth:\n  <<: [*x, *y]\nplain: { "<<": 1 }',
    );
    expect(source.value).toMatchObject({
      one: { a: 1, b: 9 },
      both: { a: 1, b: [2], c: 3 },
      plain: { '<<': 1 },
    });
    expect([source.lineOf('/one/a'), source.lineOf('/both/c')]).toEqual([3, 5]);
  });

  test('any bytes are either a document or a clear refusal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json(), yamlLike), text => {
        try {
          const source = readYaml(text);
          JSON.stringify(source.value);
          source.lineOf('/do/0/x');
        } catch (error) {
          expect(error).toBeInstanceOf(GatewayError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('any value in the place of any part is either taken or explained, never a crash', async () => {
    const parts = [
      'document',
      'do',
      'input',
      'output',
      'timeout',
      'metadata',
      'set',
      'switch',
      'call',
      'with',
      'wait',
    ];
    const part = fc.constantFrom(
      ...parts,
      'if',
      'then',
      'export',
      'a',
      'when',
      'model',
      'method',
      'endpoint',
    );
    const value = fc.letrec(tie => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, 0, -1, '', '${ . }', '${', 'end', 'http', 'agent', 'PT1S', 'x/~y'),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(part, tie('any'), { maxKeys: 4 }),
      ),
    })).any;
    await fc.assert(
      fc.asyncProperty(fc.dictionary(part, value, { maxKeys: 4 }), value, async (members, tasks) => {
        const definition = { ...definitionOf(tasks), ...members };
        const { status, body } = await submit(definition);
        expect([202, 400], JSON.stringify(body)).toContain(status);
      }),
      { numRuns: 250 },
    );
  });
});

const yamlLike = fc
  .array(
    fc.constantFrom(
      'a: ',
      '- ',
      '&x ',
      '*x',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|',
      '>',
      '#',
      '!!',
      '? ',
      '<<: ',
    ),
  )
  .map(parts => parts.join(''));
