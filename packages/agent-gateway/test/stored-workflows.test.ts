import { noScopes } from '@strata/shared/identity/scopes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** Workflows under a name. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const put = (body: unknown, path = '/v1/workflows/test/flow/1.0.0') => gateway.call('PUT', path, { body });
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
