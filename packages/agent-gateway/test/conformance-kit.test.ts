import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

/**
 * What the conformance kit of the Serverless Workflow specification 1.0.3 asks of a runtime, scenario by scenario, with a pet store of our
 * own in the place of the one on the internet.
 */

const pets = [
  { id: 1, name: 'Rex', status: 'available' },
  { id: 2, name: 'Tom', status: 'available' },
];

let store: FarEnd;
let gateway: TestGateway;
beforeAll(async () => {
  store = await startFarEnd(({ path, headers }, response) => {
    const json = (value: unknown) =>
      void response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    const url = new URL(path, 'http://store');
    if (url.pathname === '/v2/swagger.json') return json(swagger);
    if (url.pathname === '/v2/pet/findByStatus')
      return json(pets.filter(pet => pet.status === url.searchParams.get('status')));
    const basic = /^\/basic-auth\/([^/]+)\/([^/]+)$/.exec(url.pathname);
    if (basic !== null) {
      const expected = `Basic ${Buffer.from(`${basic[1]}:${basic[2]}`).toString('base64')}`;
      return void response.writeHead(headers.authorization === expected ? 200 : 401).end();
    }
    const pet = pets.find(each => url.pathname === `/v2/pet/${each.id}`);
    return pet === undefined ? void response.writeHead(404).end() : json(pet);
  });
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway.close();
  await store.close();
});

const swagger = {
  swagger: '2.0',
  info: { title: 'Pets', version: '1' },
  basePath: '/v2',
  paths: {
    '/pet/findByStatus': {
      get: {
        operationId: 'findPetsByStatus',
        parameters: [{ name: 'status', in: 'query', type: 'string' }],
        responses: {},
      },
    },
    '/pet/{petId}': {
      get: {
        operationId: 'getPetById',
        parameters: [{ name: 'petId', in: 'path', required: true, type: 'integer' }],
        responses: {},
      },
    },
  },
};

async function run(tasks: string, input: unknown = {}) {
  const definition = definitionOf(parse(tasks.replaceAll('STORE', store.url)));
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input } });
  return body;
}

/** Names of the tasks in the order in which they began. */
async function orderOf(id: string): Promise<string[]> {
  const { body } = await gateway.call('GET', `/v1/runs/${id}/events`);
  return String(body)
    .split('\n')
    .filter(line => line.startsWith('data: {'))
    .map(line => JSON.parse(line.slice(6)))
    .filter(event => event.type === 'task-started' && event.task !== '')
    .map(event => event.task.split('/').at(-1));
}

const colours = (then: Record<string, string> = {}) =>
  ['Red', 'Green', 'Blue']
    .map(
      colour =>
        `- set${colour}: { set: { colors: '\${ .colors + [ "${colour.toLowerCase()}" ] }' }${then[colour] ? `, then: ${then[colour]}` : ''} }`,
    )
    .join('\n');

test('[8.4-14] branch: competing sub tasks', async () => {
  const body = await run(`
- branchWithCompete:
    fork:
      compete: true
      branches:
${colours().replaceAll(/^/gm, '        ')}`);
  expect(body).toMatchObject({
    status: 'completed',
    output: { colors: [expect.stringMatching(/red|green|blue/)] },
  });
});

test('[8.4-14] call: HTTP with content output', async () => {
  const body = await run(
    `- findPet: { call: http, with: { method: get, endpoint: { uri: 'STORE/v2/pet/findByStatus?status={status}' } }, output: { as: '.[0]' } }`,
    { status: 'available' },
  );
  expect(body).toMatchObject({ status: 'completed', output: pets[0] });
});

test('[8.4-14] call: HTTP with response output', async () => {
  const body = await run(
    `- getPet: { call: http, with: { method: get, endpoint: { uri: 'STORE/v2/pet/{petId}' }, output: response } }`,
    { petId: 1 },
  );
  expect(body).toMatchObject({
    status: 'completed',
    output: {
      request: {
        method: expect.stringMatching(/get/i),
        uri: `${store.url}/v2/pet/1`,
        headers: expect.anything(),
      },
      headers: expect.anything(),
      statusCode: 200,
      content: pets[0],
    },
  });
});

test('[8.4-14] call: HTTP using basic authentication', async () => {
  const task = `
- login:
    call: http
    with:
      method: get
      endpoint:
        uri: STORE/basic-auth/{username}/{password}
        authentication: { basic: { username: '\${ .username }', password: '\${ .password }' } }
      output: response`;
  const body = await run(task, { username: 'serverless-workflow', password: 'conformance-test' });
  expect(body).toMatchObject({ status: 'completed', output: { statusCode: 200 } });
  expect(JSON.stringify(body.output)).not.toMatch(/authorization/i);
});

test('[8.4-14] call: OpenAPI with content output', async () => {
  const body = await run(
    `- findPet: { call: openapi, with: { document: { endpoint: STORE/v2/swagger.json }, operationId: findPetsByStatus, parameters: { status: '\${ .status }' } }, output: { as: '. | length' } }`,
    { status: 'available' },
  );
  expect(body).toMatchObject({ status: 'completed', output: 2 });
});

test('[8.4-14] call: OpenAPI with response output', async () => {
  const body = await run(
    `- getPet: { call: openapi, with: { document: { endpoint: STORE/v2/swagger.json }, operationId: getPetById, parameters: { petId: '\${ .petId }' }, output: response } }`,
    { petId: 1 },
  );
  expect(body).toMatchObject({
    status: 'completed',
    output: { statusCode: 200, content: pets[0], request: { method: 'GET' } },
  });
});

test('[8.4-14] data flow: input filtering', async () => {
  const body = await run(
    `- setPlayerId: { input: { from: .user.claims.subject }, set: { playerId: '\${ . }' } }`,
    {
      user: { claims: { subject: 'p-1' } },
    },
  );
  expect(body).toMatchObject({ status: 'completed', output: { playerId: 'p-1' } });
});

test('[8.4-14] data flow: output filtering', async () => {
  const body = await run(
    `- getPet: { call: http, with: { method: get, endpoint: { uri: 'STORE/v2/pet/{petId}' } }, output: { as: .id } }`,
    { petId: 1 },
  );
  expect(body).toMatchObject({ status: 'completed', output: 1 });
});

test('[8.4-14] data flow: output that is no object', async () => {
  const body = await run(
    `
- getPetById1: { call: http, with: { method: get, endpoint: { uri: 'STORE/v2/pet/{petId}' } }, output: { as: .id } }
- getPetById2: { call: http, with: { method: get, endpoint: { uri: STORE/v2/pet/2 } }, output: { as: '{ ids: [ $input, .id ] }' } }`,
    { petId: 1 },
  );
  expect(body).toMatchObject({ status: 'completed', output: { ids: [1, 2] } });
});

test('[8.4-14] do: sequential sub tasks', async () => {
  const body = await run(`
- compositeExample:
    do:
${colours().replaceAll(/^/gm, '      ')}`);
  expect(body).toMatchObject({ status: 'completed', output: { colors: ['red', 'green', 'blue'] } });
});

test('[8.4-14] emit: the event is the output', async () => {
  const body = await run(
    `- emitEvent: { emit: { event: { with: { source: 'https://fake-source.com', type: com.fake-source.user.greeted.v1, data: { greetings: '\${ "Hello \\(.user.firstName) \\(.user.lastName)!" }' } } } } }`,
    { user: { firstName: 'John', lastName: 'Doe' } },
  );
  expect(body).toMatchObject({
    status: 'completed',
    output: {
      id: expect.any(String),
      specversion: '1.0',
      time: expect.any(String),
      source: 'https://fake-source.com',
      type: 'com.fake-source.user.greeted.v1',
      data: { greetings: 'Hello John Doe!' },
    },
  });
});

test('[8.4-14] flow: implicit sequence', async () => {
  const body = await run(colours());
  expect(body).toMatchObject({ status: 'completed', output: { colors: ['red', 'green', 'blue'] } });
  expect(await orderOf(body.id)).toEqual(['setRed', 'setGreen', 'setBlue']);
});

test('[8.4-14] flow: explicit sequence', async () => {
  const [red, green, blue] = colours({ Red: 'setGreen', Blue: 'end', Green: 'setBlue' }).split('\n');
  const body = await run([red, blue, green].join('\n'));
  expect(body).toMatchObject({ status: 'completed', output: { colors: ['red', 'green', 'blue'] } });
  expect(await orderOf(body.id)).toEqual(['setRed', 'setGreen', 'setBlue']);
});

test('[8.4-14] for: each item with its index', async () => {
  const body = await run(
    `- loopColors: { for: { each: color, in: .colors }, do: [{ markProcessed: { set: { processed: '\${ { colors: (.processed.colors + [ $color ]), indexes: (.processed.indexes + [ $index ]) } }' } } }] }`,
    { colors: ['red', 'green', 'blue'] },
  );
  expect(body).toMatchObject({
    status: 'completed',
    output: { processed: { colors: ['red', 'green', 'blue'], indexes: [0, 1, 2] } },
  });
});

test('[8.4-14] raise: an inline error faults the run', async () => {
  const body = await run(
    `- raiseError: { raise: { error: { status: 400, type: 'https://serverlessworkflow.io/errors/types/compliance', title: Compliance Error } } }`,
  );
  expect(body).toMatchObject({
    status: 'failed',
    error: {
      status: 400,
      type: 'https://serverlessworkflow.io/errors/types/compliance',
      title: 'Compliance Error',
      instance: '/do/0/raiseError',
    },
  });
});

test('[8.4-14] set: data and expressions', async () => {
  const configuration = { size: { width: 6, height: 6 }, fill: { red: 69, green: 69, blue: 69 } };
  const body = await run(
    `- setShape: { set: { shape: circle, size: '\${ .configuration.size }', fill: '\${ .configuration.fill }' } }`,
    { configuration },
  );
  expect(body).toMatchObject({ status: 'completed', output: { shape: 'circle', ...configuration } });
});

const cases = ['red', 'green', 'blue']
  .map(
    colour =>
      `{ ${colour}: { when: '.color == "${colour}"', then: set${colour[0]?.toUpperCase()}${colour.slice(1)} } }`,
  )
  .join(', ');
const ends = { Red: 'end', Green: 'end', Blue: 'end' };

test('[8.4-14] switch: a case that matches', async () => {
  const body = await run(`- switchColor: { switch: [${cases}] }\n${colours(ends)}`, { color: 'red' });
  expect(body).toMatchObject({ status: 'completed', output: { colors: ['red'] } });
  expect(await orderOf(body.id)).toEqual(['switchColor', 'setRed']);
});

test('[8.4-14] switch: no case, the flow of the task itself', async () => {
  const body = await run(`- switchColor: { switch: [${cases}], then: end }\n${colours()}`, {
    color: 'yellow',
  });
  expect(body).toMatchObject({ status: 'completed', output: { color: 'yellow' } });
  expect(await orderOf(body.id)).toEqual(['switchColor']);
});

test('[8.4-14] switch: a case for everything else', async () => {
  const body = await run(
    `- switchColor: { switch: [${cases}, { anyOtherColor: { then: setCustomColor } }] }\n${colours()}\n- setCustomColor: { set: { colors: '\${ .colors + [ $input.color ] }' } }`,
    { color: 'yellow' },
  );
  expect(body).toMatchObject({ status: 'completed', output: { colors: ['yellow'] } });
  expect(await orderOf(body.id)).toEqual(['switchColor', 'setCustomColor']);
});

const tryGetPet = (status: number) => `
- tryGetPet:
    try:
      - getPet: { call: http, with: { method: get, endpoint: { uri: 'STORE/v2/pet/getPetByName/{petName}' } } }
    catch:
      errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication', status: ${status} } }
      as: err
      do: [{ setError: { set: { error: '\${ $err }' } } }]`;

test('[8.4-14] try: a caught error is handled', async () => {
  expect(await run(tryGetPet(404), { petName: 'Milou' })).toMatchObject({
    status: 'completed',
    output: {
      error: {
        type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication',
        status: 404,
        title: expect.any(String),
        instance: '/do/0/tryGetPet/try/0/getPet',
      },
    },
  });
});

test('[8.4-14] try: an error that is not caught faults the run', async () => {
  expect(await run(tryGetPet(503), { petName: 'Milou' })).toMatchObject({
    status: 'failed',
    error: { status: 404 },
  });
});
