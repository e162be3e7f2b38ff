import { expect, test } from 'vitest';
import { readOpenapi } from './openapi-document.ts';
import { argumentsSchemaOf, buildOpenapiRequest } from './openapi-request.ts';

const petStore = {
  openapi: '3.1.0',
  info: { title: 'Pets', version: '1.0.0' },
  servers: [{ url: 'https://pets.example/v1' }],
  paths: {
    '/pets/{petId}': {
      parameters: [{ $ref: '#/components/parameters/PetId' }],
      get: {
        operationId: 'getPet',
        summary: 'One pet',
        parameters: [
          { name: 'fields', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
          { name: 'X-Trace', in: 'header', schema: { type: 'string' } },
        ],
        responses: {
          200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } },
        },
      },
      put: {
        operationId: 'savePet',
        requestBody: {
          required: true,
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } },
        },
        responses: {},
      },
    },
    '/pets': {
      get: { parameters: [{ name: 'filter', in: 'query', style: 'deepObject', schema: {} }], responses: {} },
    },
  },
  components: {
    parameters: {
      PetId: {
        name: 'petId',
        in: 'path',
        required: true,
        schema: { type: 'integer' },
        description: 'Its number',
      },
    },
    schemas: {
      Pet: {
        type: 'object',
        properties: { name: { type: 'string' }, parent: { $ref: '#/components/schemas/Pet' } },
      },
    },
  },
};
const read = (document: unknown) => readOpenapi(Buffer.from(JSON.stringify(document)));

function operation(id: string, document: unknown = petStore) {
  const found = read(document).operations.get(id);
  if (found === undefined) throw new Error(`No operation ${id}`);
  return found;
}

test('operations are found with their parameters, references put in their place, cycles cut', () => {
  const service = read(petStore);
  expect([...service.operations.keys()]).toEqual(['getPet', 'savePet', 'get_pets']);
  expect(service.servers).toEqual(['https://pets.example/v1']);
  expect(argumentsSchemaOf(operation('getPet'))).toEqual({
    type: 'object',
    properties: {
      petId: { type: 'integer', description: 'Its number' },
      fields: { type: 'array', items: { type: 'string' } },
      'X-Trace': { type: 'string' },
    },
    required: ['petId'],
    additionalProperties: false,
  });
  expect(argumentsSchemaOf(operation('savePet'))).toMatchObject({
    properties: { body: { type: 'object', properties: { name: { type: 'string' }, parent: {} } } },
  });
  expect(argumentsSchemaOf(operation('savePet'))).toMatchObject({ required: ['petId', 'body'] });
});

test('YAML and older versions are read as well', () => {
  const swagger = `swagger: '2.0'
info: { title: Old, version: '1' }
host: old.example
basePath: /api
schemes: [https]
paths:
  /things:
    post:
      operationId: make
      consumes: [application/json]
      parameters:
        - { name: thing, in: body, required: true, schema: { type: object } }
      responses: { '200': { description: ok } }
`;
  const service = readOpenapi(Buffer.from(swagger));
  expect(service.servers).toEqual(['https://old.example/api']);
  expect(service.operations.get('make')?.body).toMatchObject({
    mediaType: 'application/json',
    required: true,
  });
});

test('arguments go where the operation wants them', () => {
  expect(
    buildOpenapiRequest(operation('getPet'), { petId: 7, fields: ['a b', 'c'], 'X-Trace': 't' }),
  ).toEqual({
    method: 'GET',
    path: '/pets/7?fields=a%20b&fields=c',
    headers: { 'x-trace': 't' },
    body: null,
  });
  expect(buildOpenapiRequest(operation('get_pets'), { filter: { kind: 'dog', age: 3 } }).path).toBe(
    '/pets?filter%5Bkind%5D=dog&filter%5Bage%5D=3',
  );
  const whole = buildOpenapiRequest(operation('savePet'), { petId: 1, body: { name: 'Rex' } });
  const members = buildOpenapiRequest(operation('savePet'), { petId: 1, name: 'Rex' });
  expect(whole).toEqual(members);
  expect(whole).toMatchObject({ body: '{"name":"Rex"}', headers: { 'content-type': 'application/json' } });
});

test('[A3] no argument leads out of its segment', () => {
  for (const petId of ['../admin', '...', 'a/b', 'a?b=c', 'a#b', '%2e%2e/x']) {
    const { path } = buildOpenapiRequest(operation('getPet'), { petId });
    const url = new URL(`https://pets.example/v1${path}`);
    expect(url.pathname.split('/'), petId).toHaveLength(4);
    expect(url.pathname.startsWith('/v1/pets/'), petId).toBe(true);
    expect([url.search, url.hash]).toEqual(['', '']);
  }
});

test.each(['', '.', '..', '%2e', '.%2E'])('[A3] the segment %s is refused', petId => {
  expect(() => buildOpenapiRequest(operation('getPet'), { petId })).toThrow('cannot be the path argument');
});

test('what is missing or unknown is said', () => {
  expect(() => buildOpenapiRequest(operation('getPet'), {})).toThrow("needs the argument 'petId'");
  expect(() => buildOpenapiRequest(operation('savePet'), { petId: 1 })).toThrow("needs the argument 'body'");
  expect(() => buildOpenapiRequest(operation('getPet'), { petId: 1, colour: 'red' })).toThrow(
    "no argument 'colour'",
  );
});

const odd = {
  openapi: '3.1.0',
  info: { title: 'Odd', version: '1' },
  servers: [
    { url: 'https://{host}/{base}', variables: { host: { default: 'api.example' }, base: { default: 2 } } },
  ],
  paths: {
    '/things/{id}': {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      get: {
        operationId: 'find',
        parameters: [
          { name: 'id', in: 'query', schema: { type: 'integer' } },
          { name: 'tags', in: 'query', explode: false, schema: { type: 'array' } },
          { name: 'by', in: 'query', content: { 'application/json': { schema: { type: 'object' } } } },
          { name: 'X-Point', in: 'header', schema: { type: 'object' } },
        ],
      },
    },
    '/forgotten/{name}': { get: { operationId: 'forgotten' } },
    '/form': { post: bodyOf('form', 'application/x-www-form-urlencoded', {}) },
    '/upload': {
      post: bodyOf('upload', 'multipart/form-data', {
        type: 'object',
        properties: { file: { type: 'string', format: 'binary' }, note: { type: 'string' } },
      }),
    },
    '/bytes': { post: bodyOf('bytes', 'application/octet-stream', { type: 'string', format: 'binary' }) },
    '/text': { post: bodyOf('text', 'text/plain', { type: 'string' }) },
    '/crossed/{id}/{query_id}': {
      get: {
        operationId: 'crossed',
        parameters: [
          { name: 'query_id', in: 'path', required: true, schema: { type: 'boolean' } },
          { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
          { name: 'id', in: 'query', schema: { type: 'integer' } },
        ],
      },
    },
    '/bad': { get: { operationId: 'bad', parameters: [{ $ref: '#/nowhere' }] } },
    '/one': { get: { operationId: 'twice' } },
    '/other': { get: { operationId: 'twice' } },
    '/answers': {
      get: { operationId: 'answers', responses: { 200: { $ref: 'https://elsewhere.example/answer.json' } } },
    },
  },
};

function bodyOf(operationId: string, mediaType: string, schema: object) {
  return { operationId, requestBody: { required: true, content: { [mediaType]: { schema } } } };
}

test('a mistake in one operation takes away that operation and says why', () => {
  const { operations, problems, servers } = read(odd);
  expect([...operations.keys()]).toEqual([
    'find',
    'forgotten',
    'form',
    'upload',
    'bytes',
    'text',
    'crossed',
    'answers',
  ]);
  expect([...problems].map(([where, { message }]) => [where, message])).toEqual([
    ['bad', expect.stringContaining("'#/nowhere'")],
    ['twice', expect.stringContaining('two operations')],
  ]);
  expect(servers).toEqual(['https://api.example/2']);
});

test('parameters of one name in two places are two arguments, and one that was forgotten is there', () => {
  expect(argumentsSchemaOf(operation('find', odd))).toMatchObject({
    properties: { id: { type: 'string' }, query_id: { type: 'integer' } },
    required: ['id'],
  });
  const args = { id: 'a', query_id: 5, tags: ['x', 'y'], by: { z: 1 }, 'X-Point': { a: 1, b: 2 } };
  expect(buildOpenapiRequest(operation('find', odd), args)).toMatchObject({
    path: `/things/a?id=5&tags=x,y&by=${encodeURIComponent('{"z":1}')}`,
    headers: { 'x-point': 'a,1,b,2' },
  });
  expect(buildOpenapiRequest(operation('forgotten', odd), { name: 'n' }).path).toBe('/forgotten/n');
});

test('an argument whose name another has is called by one that nobody has', () => {
  expect(argumentsSchemaOf(operation('crossed', odd))).toMatchObject({
    properties: {
      query_id: { type: 'boolean' },
      id: { type: 'string' },
      query_query_id: { type: 'integer' },
    },
  });
  const args = { query_id: true, id: 'a', query_query_id: 5 };
  expect(buildOpenapiRequest(operation('crossed', odd), args).path).toBe('/crossed/a/true?id=5');
});

const styled = (parameter: object, path = '/s') => ({
  ...petStore,
  paths: { [path]: { get: { operationId: 's', parameters: [{ name: 'v', schema: {}, ...parameter }] } } },
});
const list = ['a b', 'c,d', '/e'];
const object = { r: 1, 'g h': 'x&y' };

/** OpenAPI 3.1, "Style Values"; RFC 6570, sections 3.2.2 and 3.2.5 to 3.2.9. */
test.each([
  [{ in: 'path' }, 5, '/s/5'],
  [{ in: 'path' }, list, '/s/a%20b,c%2Cd,%2Fe'],
  [{ in: 'path', explode: true }, object, '/s/r=1,g%20h=x%26y'],
  [{ in: 'path', style: 'label' }, list, '/s/.a%20b,c%2Cd,%2Fe'],
  [{ in: 'path', style: 'label', explode: true }, object, '/s/.r=1.g%20h=x%26y'],
  [{ in: 'path', style: 'matrix' }, 5, '/s/;v=5'],
  [{ in: 'path', style: 'matrix' }, object, '/s/;v=r,1,g%20h,x%26y'],
  [{ in: 'path', style: 'matrix', explode: true }, list, '/s/;v=a%20b;v=c%2Cd;v=%2Fe'],
  [{ in: 'path', style: 'matrix', explode: true }, object, '/s/;r=1;g%20h=x%26y'],
  [{ in: 'query', explode: false }, list, '/s?v=a%20b,c%2Cd,%2Fe'],
  [{ in: 'query', style: 'spaceDelimited', explode: false }, ['1', '2'], '/s?v=1%202'],
  [{ in: 'query', style: 'pipeDelimited', explode: false }, ['1', '2'], '/s?v=1%7C2'],
  [{ in: 'query' }, object, '/s?r=1&g%20h=x%26y'],
  [{ in: 'query' }, [], '/s'],
  [{ in: 'query', style: 'deepObject', explode: true }, ['a', 'b'], '/s?v%5B0%5D=a&v%5B1%5D=b'],
  [{ in: 'query', style: 'deepObject' }, { a: { b: [1, null] } }, '/s?v%5Ba%5D%5Bb%5D%5B0%5D=1'],
])('%j writes %j as %s', (parameter, value, path) => {
  const made = operation('s', styled(parameter, parameter.in === 'path' ? '/s/{v}' : '/s'));
  expect(buildOpenapiRequest(made, { v: value }).path).toBe(path);
});

test.each([
  ['simple', ['..']],
  ['label', ''],
  ['label', '.'],
])('[A3] no dot segment comes of the style %s with %j', (style, value) => {
  const made = operation('s', styled({ in: 'path', style }, '/s/{v}'));
  expect(() => buildOpenapiRequest(made, { v: value })).toThrow('cannot be the path argument');
});

const half = '\ud800';

test.each([
  [{ in: 'path' }, half, '/s/%EF%BF%BD'],
  [{ in: 'path', style: 'matrix', explode: true }, { [half]: 1 }, '/s/;%EF%BF%BD=1'],
  [{ in: 'query' }, half, '/s?v=%EF%BF%BD'],
  [{ in: 'query' }, { [half]: [half] }, '/s?%EF%BF%BD=%EF%BF%BD'],
  [{ in: 'query', style: 'deepObject' }, { [half]: half }, '/s?v%5B%EF%BF%BD%5D=%EF%BF%BD'],
])('[A3] half a surrogate pair goes into %j as any text does', (parameter, value, path) => {
  const made = operation('s', styled(parameter, parameter.in === 'path' ? '/s/{v}' : '/s'));
  expect(buildOpenapiRequest(made, { v: value }).path).toBe(path);
});

test('[A3] what no header can hold is refused, and a cookie holds anything', () => {
  for (const value of [half, 'a\r\nb: c', '\u0000', '\u4e2d', { [half]: 1 }]) {
    expect(() => buildOpenapiRequest(operation('s', styled({ in: 'header' })), { v: value })).toThrow(
      expect.objectContaining({ reason: 'openapi_argument_invalid', param: 'v' }),
    );
  }
  const cookie = buildOpenapiRequest(operation('s', styled({ in: 'cookie' })), { v: half });
  expect(cookie.headers).toEqual({ cookie: 'v=%EF%BF%BD' });
});

test('[A3] members of a form hold any text', () => {
  const { body } = buildOpenapiRequest(operation('form', odd), { body: { [half]: half } });
  expect(body).toBe('%EF%BF%BD=%EF%BF%BD');
});

/** As wide as schemas of large APIs are, after which references were not followed any more. */
function wide(members: number) {
  const schema = { $ref: '#/components/schemas/Pet' };
  const properties = Object.fromEntries(Array.from({ length: members }, (_, index) => [`p${index}`, schema]));
  return { type: 'object', properties };
}

test('a large body takes nothing from the parameters, and what was cut is told', () => {
  const requestBody = { $ref: '#/components/requestBodies/Wide' };
  const document = {
    ...petStore,
    paths: {
      '/pets/{petId}': {
        post: {
          operationId: 'large',
          requestBody,
          parameters: [
            { $ref: '#/components/parameters/PetId' },
            { name: 'like', in: 'query', schema: { $ref: '#/components/schemas/Pet' } },
          ],
        },
      },
    },
    components: {
      ...petStore.components,
      requestBodies: { Wide: { content: { 'application/json': { schema: wide(6000) } } } },
    },
  };
  const large = operation('large', document);
  expect(large.parameters.map(each => each.name)).toEqual(['petId', 'like']);
  expect(argumentsSchemaOf(large)).toMatchObject({
    properties: { like: { properties: { name: { type: 'string' } } }, petId: { type: 'integer' } },
    required: ['petId'],
  });
  expect(large.shortened).toEqual(['body']);
  expect(operation('savePet').shortened).toEqual([]); // a reference to itself is cut nowhere
});

test('a document as a whole is read up to a limit, and what is beyond it is left out by name', () => {
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Wide' } } };
  const schemas = { ...petStore.components.schemas, Wide: wide(4000) };
  const paths = Object.fromEntries(
    Array.from({ length: 600 }, (_, index) => [
      `/w${index}`,
      { post: { operationId: `w${index}`, requestBody: { content } } },
    ]),
  );
  const { operations, problems } = read({ ...petStore, paths, components: { schemas } });
  expect(operations.size).toBeGreaterThan(50);
  expect(operations.size + problems.size).toBe(600);
  expect(problems.get('w599')?.message).toContain('too large');
});

test('what stands among the paths and is none takes away no operation', () => {
  const paths = {
    ...petStore.paths,
    'x-note': 'a text',
    '/nothing': null,
    '/list': [1],
    '/there': { $ref: '#/components/pathItems/There' },
    '/lost': { $ref: '#/components/pathItems/Lost' },
    '/odd%zz': { get: { operationId: 'odd', parameters: [{ $ref: '#/components/%zz' }] } },
  };
  const pathItems = { There: { get: { operationId: 'there' } } };
  const service = read({ ...petStore, paths, components: { ...petStore.components, pathItems } });
  expect([...service.operations.keys()]).toEqual(['getPet', 'savePet', 'get_pets', 'there']);
  expect([...service.problems.keys()]).toEqual(['/lost', 'odd']);
});

test('members of a form are written as their encoding says', () => {
  const encoding = { deep: { style: 'deepObject', explode: true }, joined: { explode: false }, odd: 7 };
  const content = { 'application/x-www-form-urlencoded': { schema: { type: 'object' }, encoding } };
  const document = {
    ...petStore,
    paths: { '/f': { post: { operationId: 'f', requestBody: { content } } } },
  };
  const body = { deep: { a: { b: 'x y' }, c: [1, 2] }, joined: [1, 2], plain: { z: 1 }, many: ['p', 'q'] };
  const { body: text } = buildOpenapiRequest(operation('f', document), { body });
  expect(String(text)).toBe(
    'deep%5Ba%5D%5Bb%5D=x+y&deep%5Bc%5D%5B0%5D=1&deep%5Bc%5D%5B1%5D=2&joined=1,2&plain=%7B%22z%22%3A1%7D&many=p&many=q',
  );
});

test('schemas that refer to one another everywhere are cut where nobody reads any more', () => {
  const names = Array.from({ length: 40 }, (_, index) => `S${index}`);
  const properties = Object.fromEntries(names.map(name => [name, { $ref: `#/components/schemas/${name}` }]));
  const schemas = Object.fromEntries(names.map(name => [name, { type: 'object', properties }]));
  const content = { 'application/json': { schema: schemas.S0 } };
  const paths = {
    '/w': { post: { operationId: 'w', requestBody: { content }, responses: { 200: { content } } } },
  };
  const made = operation('w', { ...petStore, paths, components: { schemas } });
  expect(JSON.stringify(argumentsSchemaOf(made)).length).toBeLessThan(200_000);
  expect(buildOpenapiRequest(made, { body: { S1: {} } }).body).toBe('{"S1":{}}');
});

const typed = (mediaType: string, schema: object) => ({
  ...odd,
  paths: { '/typed': { post: bodyOf('typed', mediaType, schema) } },
});

test.each([
  ['application/yaml', { type: 'string' }],
  ['application/graphql', { type: ['string', 'null'] }],
  ['application/sql', { type: 'string', contentEncoding: 'quoted-printable' }],
  ['application/x-ndjson', { type: 'string', contentMediaType: 'application/json' }],
  ['text/csv', { type: 'string', contentMediaType: 'text/csv' }],
])('a body of %s is text where its schema says so', (mediaType, schema) => {
  const made = operation('typed', typed(mediaType, schema));
  expect(buildOpenapiRequest(made, { body: 'a: é!' }).body).toBe('a: é!');
  expect(argumentsSchemaOf(made)).toEqual(expect.objectContaining({ properties: { body: schema } }));
});

test.each([
  ['application/yaml', { type: 'string', format: 'binary' }],
  ['application/vnd.tool', {}],
  ['application/octet-stream', { type: 'string' }],
  ['application/pdf', { type: 'string' }],
  ['image/png', { type: 'string' }],
  ['application/x-ndjson', { type: 'string', contentMediaType: 'image/png' }],
])('a body of %s is bytes in base64 where nothing says text', (mediaType, schema) => {
  const made = operation('typed', typed(mediaType, schema));
  expect(buildOpenapiRequest(made, { body: 'aGk=' }).body).toEqual(Buffer.from('hi'));
});

test('a part is text where its content is JSON or text', () => {
  const members = {
    config: { type: 'string', contentMediaType: 'application/json' },
    note: { type: 'string', contentMediaType: 'text/plain' },
  };
  const made = operation('typed', typed('multipart/form-data', { type: 'object', properties: members }));
  const body = Buffer.from(
    buildOpenapiRequest(made, { body: { config: '{"a":1}', note: 'hé!' } }).body as Uint8Array,
  ).toString();
  expect(body).toContain('{"a":1}');
  expect(body).toContain('hé!');
  expect(body).not.toContain('filename');
});

test('[A3] what is no base64 is found in one pass over what a caller wrote', () => {
  const made = operation('bytes', odd);
  for (const body of [
    `${' '.repeat(1e6)}!`,
    `${'= '.repeat(5e5)}!`,
    `=${' '.repeat(1e6)}a`,
    'aGk===',
    'a=b',
  ]) {
    const startedMs = process.cpuUsage().user / 1000;
    expect(() => buildOpenapiRequest(made, { body })).toThrow('bytes in base64');
    expect(process.cpuUsage().user / 1000 - startedMs).toBeLessThan(2000);
  }
  expect(buildOpenapiRequest(made, { body: ' aG\nk=\n' }).body).toEqual(Buffer.from('hi'));
});

test('bodies are what their media type says: forms, parts, bytes, text', async () => {
  const build = (id: string, body: unknown) => buildOpenapiRequest(operation(id, odd), { body });
  expect(build('form', { a: 'x y', b: ['1', '2'], c: null }).body).toBe('a=x+y&b=1&b=2');
  expect(build('text', 'hé').body).toBe('hé');
  expect(build('bytes', 'aGk=').body).toEqual(Buffer.from('hi'));
  expect(() => build('bytes', 'no base64!')).toThrow('bytes in base64');
  expect(argumentsSchemaOf(operation('bytes', odd))).toMatchObject({
    properties: { body: { type: 'string', contentEncoding: 'base64' } },
  });
  expect(argumentsSchemaOf(operation('upload', odd))).toMatchObject({
    properties: { body: { properties: { file: { contentEncoding: 'base64' }, note: { type: 'string' } } } },
  });
  const { body, headers } = build('upload', { file: 'AP8=', note: 'n', 'a"b\r\n': { c: 1 } });
  const form = await new Response(body as Uint8Array<ArrayBuffer>, { headers }).formData();
  expect(new Uint8Array(await (form.get('file') as File).arrayBuffer())).toEqual(new Uint8Array([0, 255]));
  expect(form.get('note')).toBe('n');
  expect([...form.keys()]).toHaveLength(3);
});

test.each([
  ['no document at all', '[]'],
  [
    'a mistake',
    JSON.stringify({ ...petStore, paths: { '/x': { get: { parameters: [{ name: 'x', in: 'nowhere' }] } } } }),
  ],
  [
    'a reference to elsewhere',
    JSON.stringify({ ...petStore, paths: { '/x': { get: { $ref: 'http://127.0.0.1:1/x' } } } }),
  ],
  ['a reference to nothing', JSON.stringify({ ...petStore, paths: { '/x': { get: { $ref: '#/nope' } } } })],
  [
    'one id twice',
    JSON.stringify({
      ...petStore,
      paths: { '/a': { get: { operationId: 'x' } }, '/b': { get: { operationId: 'x' } } },
    }),
  ],
  ['neither JSON nor YAML', 'a: [b'],
])('%s is refused', (_name, text) => {
  expect(() => readOpenapi(Buffer.from(text))).toThrow(
    expect.objectContaining({ reason: 'openapi_invalid' }),
  );
});
