import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf, openRawClient, type RawClient, resultText } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** An HTTP API behind its OpenAPI document: each operation is a tool. */
const document = `
openapi: 3.0.3
info: { title: Pets, version: "1" }
servers: [{ url: /v1 }]
paths:
  /pets/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
    get: { operationId: getPet, summary: One pet, responses: { "200": { description: ok } } }
    delete: { operationId: deletePet, responses: { "204": { description: gone } } }
  /pets:
    get:
      operationId: listPets
      parameters:
        - { name: tag, in: query, schema: { type: array, items: { type: string } } }
        - { name: authorization, in: header, schema: { type: string } }
      responses: { "200": { description: ok } }
    post:
      operationId: createPet
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } }
      responses: { "201": { description: made } }
  /me:
    servers: [{ url: /v2 }]
    get:
      operationId: whoAmI
      parameters:
        - { name: Authorization, in: header, required: true, schema: { type: string } }
        - { name: Accept, in: header, required: true, schema: { type: string } }
        - { name: X-Tenant, in: header, required: true, schema: { type: string } }
        - { name: session, in: cookie, required: true, schema: { type: string } }
        - { name: api_key, in: query, required: true, schema: { type: string } }
        - { name: Api_Key, in: query, required: true, schema: { type: string } }
        - { name: "api_key[]", in: query, required: true, schema: { type: array, items: { type: string } } }
        - { name: full, in: query, schema: { type: boolean } }
      responses: { "200": { description: ok } }
  /search:
    get:
      operationId: search
      parameters:
        - { name: filter, in: query, schema: { type: object } }
        - { name: deep, in: query, style: deepObject, explode: true, schema: { type: object } }
      responses: { "200": { description: ok } }
  /answers/{kind}:
    get: { operationId: answer, responses: { "200": { description: ok } } }
    put: { operationId: broken, parameters: [{ $ref: "#/nowhere" }] }
components:
  schemas:
    Pet:
      type: object
      required: [name]
      properties: { name: { type: string }, parent: { $ref: "#/components/schemas/Pet" } }
`;

/** A file, so that only operations with a server of their own have an address. */
const halfAddressed = (at: string) => `
openapi: 3.1.0
info: { title: Half, version: "1" }
paths:
  /broken: { get: { operationId: broken, parameters: [{ $ref: "#/nowhere" }] } }
  /here: { get: { operationId: here, servers: [{ url: "${at}/v2" }] } }
  /nowhere: { get: { operationId: nowhere } }
  /unfilled: { get: { operationId: unfilled, servers: [{ url: "https://{host}/v2" }] } }
  /hidden: { get: { operationId: hiddenOne } }
`;

const oddAnswers: Record<string, { status: number; type: string; body?: Buffer }> = {
  nothing: { status: 204, type: 'text/plain' },
  bytes: { status: 200, type: 'application/pdf', body: Buffer.from([0x25, 0xff, 0]) },
  latin: { status: 200, type: 'text/plain; charset=iso-8859-1', body: Buffer.from('caf\u00e9', 'latin1') },
  page: { status: 500, type: 'text/html', body: Buffer.from('<h1>no</h1>') },
};

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

let api: Server;
let gateway: TestGateway;
let client: RawClient;
let folder: string;
let seen: Seen[] = [];
let heads: IncomingHttpHeaders[] = [];

beforeAll(async () => {
  api = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      if (url === '/openapi.yaml') return void response.end(document);
      heads.push(headers);
      seen.push({
        method,
        url,
        authorization: headers.authorization,
        body: Buffer.concat(chunks).toString(),
      });
      const odd = oddAnswers[/answers\/(\w+)/.exec(url)?.[1] ?? ''];
      if (odd) return void response.writeHead(odd.status, { 'content-type': odd.type }).end(odd.body);
      const status = url.includes('unknown') ? 404 : 200;
      response.writeHead(status, { 'content-type': 'application/json' });
      const saw = url.includes('told') && { saw: [headers.authorization, headers['x-tenant']] };
      response.end(JSON.stringify({ id: 12345678901, url, ...saw }));
    });
  });
  await new Promise<void>(resolve => api.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  folder = mkdtempSync(join(tmpdir(), 'strata-openapi-'));
  writeFileSync(join(folder, 'api.yaml'), document);
  writeFileSync(join(folder, 'half.yaml'), halfAddressed(at));
  writeFileSync(join(folder, 'nowhere.yaml'), halfAddressed('/relative'));
  writeFileSync(join(folder, 'broken.yaml'), 'openapi: 3.1.0\npaths: {');
  const common = { type: 'openapi', allow_private: true };
  gateway = await startGateway({
    servers: {
      pets: {
        ...common,
        document: `${at}/openapi.yaml`,
        headers: { authorization: 'Bearer of-the-operator', 'x-tenant': 'acme' },
        query: { api_key: 'k&1' },
      },
      slim: {
        ...common,
        document: join(folder, 'api.yaml'),
        url: `${at}/other`,
        operations: ['*', '!delete*'],
      },
      half: { ...common, document: join(folder, 'half.yaml'), operations: ['*', '!hidden*'] },
      nowhere: { ...common, document: join(folder, 'nowhere.yaml') },
      broken: { ...common, document: join(folder, 'broken.yaml'), url: at },
      private: { type: 'openapi', document: join(folder, 'api.yaml'), url: `${at}/v1` },
    },
  });
  client = await openRawClient(gateway);
});

afterAll(async () => {
  await gateway?.close();
  await new Promise(resolve => api?.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

test('the operations of a document are tools, with a schema and what their method says of them', async () => {
  const [answer] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  const { tools, _meta } = JSON.parse(answer ?? '').result;
  const names = tools.map((tool: { name: string }) => tool.name);
  expect(names).toEqual(
    expect.arrayContaining([
      'pets__getPet',
      'pets__deletePet',
      'pets__listPets',
      'pets__createPet',
      'slim__getPet',
    ]),
  );
  expect(names).not.toContain('slim__deletePet');
  const get = tools.find((tool: { name: string }) => tool.name === 'pets__getPet');
  expect(get).toMatchObject({
    description: 'One pet',
    inputSchema: { type: 'object', required: ['id'] },
    annotations: { readOnlyHint: true, idempotentHint: true },
  });
  expect(_meta['strata/unavailable_servers']).toContainEqual({
    server: 'broken',
    reason: 'openapi_document_invalid',
  });
});

test('arguments go where the operation wants them, with the credential of the operator and no other', async () => {
  seen = [];
  const [read] = await client.call('1', 'pets__getPet', { id: 'a/b' });
  expect(JSON.parse(read ?? '').result.structuredContent).toEqual({
    id: 12345678901,
    url: '/v1/pets/a%2Fb?api_key=k%261',
  });
  await client.call('2', 'pets__listPets', { tag: ['x', 'y'], authorization: 'Bearer of-the-caller' });
  await client.call('3', 'pets__createPet', { body: { name: 'Rex' } });
  await client.call('4', 'slim__getPet', { id: '7' });
  expect(seen).toEqual([
    { method: 'GET', url: '/v1/pets/a%2Fb?api_key=k%261', authorization: 'Bearer of-the-operator', body: '' },
    {
      method: 'GET',
      url: '/v1/pets?tag=x&tag=y&api_key=k%261',
      authorization: 'Bearer of-the-operator',
      body: '',
    },
    {
      method: 'POST',
      url: '/v1/pets?api_key=k%261',
      authorization: 'Bearer of-the-operator',
      body: '{"name":"Rex"}',
    },
    { method: 'GET', url: '/other/pets/7', authorization: undefined, body: '' },
  ]);
});

test('what the operator says, or nobody may say, is asked of no caller and heard of none', async () => {
  const [listed] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  const tools = JSON.parse(listed ?? '').result.tools as { name: string; inputSchema: object }[];
  const schema = tools.find(({ name }) => name === 'pets__whoAmI')?.inputSchema;
  expect(schema).toMatchObject({ properties: { full: { type: 'boolean' } }, required: [] });
  expect(Object.keys((schema as { properties: object }).properties)).toEqual(['full']);
  [seen, heads] = [[], []];
  await client.call('1', 'pets__whoAmI');
  const odd = {
    Authorization: 'me',
    session: 's',
    api_key: 'mine',
    'X-Tenant': 'other',
    Accept: 'text/html',
  };
  await client.call('2', 'pets__whoAmI', { full: true, ...odd });
  expect(seen.map(({ url }) => url)).toEqual(['/v2/me?api_key=k%261', '/v2/me?full=true&api_key=k%261']);
  const operators = { authorization: 'Bearer of-the-operator', 'x-tenant': 'acme' };
  for (const headers of heads) {
    expect(headers).toMatchObject({ ...operators, accept: 'application/json, */*;q=0.5' });
    expect(headers.cookie).toBeUndefined();
  }
});

test('[A3] no member of an object says what the operator says in the query', async () => {
  seen = [];
  const deep = { api_key: 'in another' };
  for (const name of ['api_key', 'API_KEY', 'api_key[]', 'api_key[0]', 'api_key[a][b]'])
    await client.call('1', 'pets__search', { filter: { [name]: 'mine', colour: 'red' }, deep });
  expect([...new Set(seen.map(({ url }) => url))]).toEqual([
    '/v1/search?colour=red&deep%5Bapi_key%5D=in%20another&api_key=k%261',
  ]);
});

test('an operation that nobody says where it is takes no other away, and the list tells it', async () => {
  const [listed] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  const { tools, _meta } = JSON.parse(listed ?? '').result;
  const names = tools
    .map(({ name }: { name: string }) => name)
    .filter((name: string) => name.startsWith('half__'));
  expect(names).toEqual(['half__here']);
  const refused = _meta['strata/refused_names'].filter(
    ({ servers }: { servers: string[] }) => servers[0] === 'half',
  );
  expect(refused).toEqual([
    { name: 'half__broken', servers: ['half'] },
    { name: 'half__nowhere', servers: ['half'] },
    { name: 'half__unfilled', servers: ['half'] },
  ]);
  expect(resultText((await client.call('2', 'half__here'))[0])).toContain('/v2/here');
  expect(errorOf((await client.call('3', 'half__nowhere'))[0])).toBeDefined();
  expect(_meta['strata/unavailable_servers']).toContainEqual({
    server: 'nowhere',
    reason: 'openapi_document_invalid',
  });
});

test('[S20] an API that tells what it was shown does not tell it to the caller', async () => {
  for (const id of ['told', 'told-unknown']) {
    const [answer = ''] = await client.call('1', 'pets__getPet', { id });
    expect(answer).toContain('Bearer ***');
    expect(answer).toContain('acme');
    expect(answer).not.toContain('of-the-operator');
  }
});

test('answers of every kind are content: none, bytes, other charsets, pages of errors', async () => {
  const contentOf = async (kind: string) => {
    const [answer] = await client.call('1', 'pets__answer', { kind });
    return JSON.parse(answer ?? '').result;
  };
  expect((await contentOf('nothing')).content).toEqual([{ type: 'text', text: '' }]);
  const [bytes] = (await contentOf('bytes')).content;
  expect(bytes).toMatchObject({ type: 'resource', resource: { mimeType: 'application/pdf', blob: 'Jf8A' } });
  expect(bytes.resource.uri).not.toContain('api_key');
  expect((await contentOf('latin')).content).toEqual([{ type: 'text', text: 'caf\u00e9' }]);
  expect(await contentOf('page')).toEqual({
    isError: true,
    content: [
      { type: 'text', text: 'HTTP 500' },
      { type: 'text', text: '<h1>no</h1>' },
    ],
  });
});

test('wrong arguments and refusals of the API are errors of the tool, which a model can read', async () => {
  for (const args of [{}, { id: '..' }, { id: 'x', nonsense: 1 }]) {
    const [answer] = await client.call('1', 'pets__getPet', args);
    expect(JSON.parse(answer ?? '').result, JSON.stringify(args)).toMatchObject({ isError: true });
  }
  const [absent] = await client.call('2', 'pets__getPet', { id: 'unknown' });
  expect(JSON.parse(absent ?? '').result).toMatchObject({ isError: true });
  expect(resultText(absent)).toBe('HTTP 404');
});

test('[S-3] an API at a private address that was not allowed is not reached', async () => {
  seen = [];
  const [answer] = await client.call('1', 'private__getPet', { id: '1' });
  expect(errorOf(answer)?.data).toMatchObject({ reason: 'destination_not_allowed' });
  expect(seen).toEqual([]);
});
