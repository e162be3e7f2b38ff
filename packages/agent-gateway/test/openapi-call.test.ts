import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

/** `call: openapi` against a real service on a real socket. */

const petStore = `openapi: 3.0.3
info: { title: Pets, version: 1.0.0 }
servers: [{ url: /v1 }]
paths:
  /pets/{petId}:
    parameters: [{ name: petId, in: path, required: true, schema: { type: integer } }]
    get:
      operationId: getPet
      parameters: [{ name: verbose, in: query, schema: { type: boolean } }]
      responses: { '200': { description: a pet } }
    put:
      operationId: savePet
      requestBody: { content: { application/json: { schema: { type: object } } } }
      responses: { '200': { description: saved } }
`;

let service: FarEnd;
let gateway: TestGateway;
beforeAll(async () => {
  service = await startFarEnd(({ method, path, body }, response) => {
    if (path === '/docs/openapi.yaml')
      return void response.setHeader('content-type', 'application/yaml').end(petStore);
    if (path.startsWith('/v1/pets/404')) return void response.writeHead(404).end();
    if (!path.startsWith('/v1/pets/')) return void response.writeHead(500).end();
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, path, body }));
  });
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway.close();
  await service.close();
});

async function run(call: Record<string, unknown>, input: unknown = {}) {
  const document = { endpoint: `${service.url}/docs/openapi.yaml` };
  const definition = definitionOf([{ it: { call: 'openapi', with: { document, ...call } } }]);
  return (await gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input } })).body;
}

test('the document says where arguments go, relative to where it lies; it is read once', async () => {
  const first = await run(
    { operationId: 'getPet', parameters: { petId: '${ .id }', verbose: true } },
    { id: 7 },
  );
  expect(first).toMatchObject({
    status: 'completed',
    output: { method: 'GET', path: '/v1/pets/7?verbose=true' },
  });
  const second = await run({ operationId: 'savePet', parameters: { petId: 8, name: 'Rex' } });
  expect(second.output).toEqual({ method: 'PUT', path: '/v1/pets/8', body: '{"name":"Rex"}' });
  expect(service.received.filter(each => each.path === '/docs/openapi.yaml')).toHaveLength(1);
  const saved = service.received.find(each => each.method === 'PUT');
  expect(saved?.headers).toMatchObject({
    'content-type': 'application/json',
    'idempotency-key': expect.any(String),
  });
});

test('the whole answer names the request that was made', async () => {
  const body = await run({ operationId: 'getPet', parameters: { petId: 1 }, output: 'response' });
  expect(body.output).toMatchObject({
    request: { method: 'GET', uri: `${service.url}/v1/pets/1` },
    statusCode: 200,
    content: { path: '/v1/pets/1' },
  });
});

test('what goes wrong is an error of its kind', async () => {
  const unknown = await run({ operationId: 'nope' });
  expect(unknown.error).toMatchObject({
    reason: 'openapi_operation_unknown',
    detail: expect.stringContaining('getPet, savePet'),
  });
  const missing = await run({ operationId: 'getPet' });
  expect(missing.error).toMatchObject({ reason: 'openapi_argument_missing' });
  const refused = await run({ operationId: 'getPet', parameters: { petId: 404 } });
  expect(refused.error).toMatchObject({ reason: 'http_call_refused', status: 404 });
  const definition = definitionOf([
    { it: { call: 'openapi', with: { operationId: 'x', document: { endpoint: `${service.url}/v1/none` } } } },
  ]);
  const gone = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition } });
  expect(gone.body.error.reason).toMatch(/http_call_failed|openapi_document_unavailable/);
});

test('[S-3] neither document nor service may lie where the operator did not open', async () => {
  const closed = await startGateway({ config: { http_calls: { private_hosts: [] } } });
  const document = { endpoint: `${service.url}/docs/openapi.yaml` };
  const definition = definitionOf([{ it: { call: 'openapi', with: { document, operationId: 'getPet' } } }]);
  const { body } = await closed.call('POST', '/v1/runs?wait=20', { body: { definition } });
  await closed.close();
  expect(body.error.reason).toBe('destination_not_allowed');
});
