import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** U+0000 in a name, which texts of PostgreSQL cannot have: it is somebody's mistake and no failure of the gateway. */

let postgres: TestPostgres;
let gateway: TestGateway;
beforeAll(async () => {
  postgres = await openTestPostgres();
  const config = { store: { url: await postgres.server.createDatabase() } };
  gateway = await startGateway({ deps: await createTestDeps({ name: 'agent-gateway', config }) });
});
afterAll(async () => {
  await gateway.close();
  await gateway.deps.close();
  await postgres.close();
});

interface Described {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

/** With it in each parameter of path and query, one at a time. */
function* requests(): Generator<readonly [method: string, path: string]> {
  for (const [path, methods] of Object.entries(gateway.openApi.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const { parameters = [] } = operation as Described; // as it is served
      for (const { in: where, name } of parameters.filter(each => each.in !== 'header')) {
        const filled = path.replaceAll(/\{([^}]+)\}/g, (_, each: string) =>
          where === 'path' && each === name ? 'a%00b' : 'x',
        );
        const texts = ['a%00b', Buffer.from('a\0b\nc').toString('base64url')];
        if (where === 'path') yield [method.toUpperCase(), filled];
        else for (const text of texts) yield [method.toUpperCase(), `${filled}?${name}=${text}`];
      }
    }
  }
}

test('in every parameter of every operation it is refused, or names nothing', async () => {
  const failed: unknown[] = [];
  let count = 0;
  for (const [method, path] of requests()) {
    const { status, body } = await gateway.call(method, path, method === 'GET' ? {} : { body: {} });
    if (status >= 500) failed.push([method, path, status, body.reason]);
    count++;
  }
  expect(failed).toEqual([]);
  expect(count).toBeGreaterThan(60);
});

const nul = 'a\0b';
const one = [{ a: { set: { x: 1 } } }];

test('in names that a body gives it is refused, or names nothing', async () => {
  const document = { dsl: '1.0.3', namespace: 'test', name: 'flow', version: '1.0.0' };
  const keyed = { ...document, metadata: { gateway: { concurrency: { key: '${ .key }', limit: 1 } } } };
  const event = { specversion: '1.0', id: 'x', source: 's', type: 't' };
  const failed: unknown[] = [];
  for (const [method, path, body] of [
    ['POST', '/v1/runs', { workflow: `test/${nul}@1.0.0` }],
    ['POST', '/v1/runs', { workflow: { namespace: nul, name: 'x', version: '1.0.0' } }],
    ['POST', '/v1/runs', { thread: nul, definition: definitionOf(one) }],
    ['POST', '/v1/runs', { definition: { document: keyed, do: one }, input: { key: nul } }],
    ['POST', '/v1/events', { ...event, id: nul }],
    ['POST', '/v1/events', { ...event, source: nul }],
    ['POST', '/v1/events', { ...event, type: nul }],
    ['PUT', '/v1/schedules/a', { workflow: { ...document, name: nul, dsl: undefined }, cron: '0 0 1 1 *' }],
    ['POST', '/v1/webhooks', { url: `https://example.com/${nul}` }],
    ['POST', '/v1/threads', { namespace: nul }],
    ['PUT', '/v1/store/a/b', { value: nul }],
    ['POST', '/v1/threads', { metadata: { [nul]: nul }, context: nul }],
  ] as const) {
    const answer = await gateway.call(method, path, { body });
    if (answer.status >= 500) failed.push([method, path, body, answer.status, answer.body]);
  }
  expect(failed).toEqual([]);
});

test.each(
  Object.entries({
    'the type of an event that it emits': [
      { a: { emit: { event: { with: { source: 'https://x.example', type: '${ .nul }' } } } } },
    ],
    'the id of an event that it emits': [
      { a: { emit: { event: { with: { id: '${ .nul }', source: 'https://x.example', type: 't' } } } } },
    ],
    'the source of an event that it emits': [
      { a: { emit: { event: { with: { source: '${ "https://x.example/" + .nul }', type: 't' } } } } },
    ],
    'its data': [{ a: { set: { x: '${ .nul }' }, export: { as: '${ .x }' } } }],
  }),
)('a run that has it in %s comes to an end', async (_what, tasks) => {
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf(tasks), input: { nul } },
  });
  expect(['completed', 'failed'], JSON.stringify(body)).toContain(body.status);
});

test('a document that listens to it is refused, or comes to an end', async () => {
  const definition = definitionOf([
    { a: { listen: { to: { one: { with: { type: nul } } } }, timeout: { after: 'PT0.5S' } } },
  ]);
  const { status, body } = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition } });
  expect([400, 200], JSON.stringify(body)).toContain(status);
});

test('an event that is found by more than a store can look for is refused, and a run that emits one fails by itself', async () => {
  const source = `https://x.example/${'\u{6587}'.repeat(2000)}`;
  const sent = await gateway.call('POST', '/v1/events', {
    body: { specversion: '1.0', id: 'x', source, type: 't' },
  });
  expect([sent.status, sent.body.reason]).toEqual([400, 'request_invalid']);
  const emits = (type: string) => [
    { a: { emit: { event: { with: { source: 'https://x.example', type } } } } },
  ];
  const submit = async (type: string) =>
    (
      await gateway.call('POST', '/v1/runs?wait=20', {
        body: { definition: definitionOf(emits(type)), input: {} },
      })
    ).body;
  const [long, other] = await Promise.all([
    submit('${ [range(300)] | map("x") | join("") }'),
    submit('fine'),
  ]);
  expect(long).toMatchObject({
    status: 'failed',
    error: { status: 400, reason: 'data_invalid', instance: '/do/0/a' },
  });
  expect(other.status).toBe('completed');
});
