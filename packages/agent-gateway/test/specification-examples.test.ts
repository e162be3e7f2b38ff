import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/**
 * The constructs of the sixty-six examples beside the Serverless Workflow specification 1.0.3, written anew: each is accepted, or refused
 * when it is submitted, with its place and a reason.
 */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

/** Name of the example, its `do` list or whole members in YAML, and the place and reason of a refusal. */
type Example = readonly [name: string, source: string, pointer?: string, why?: RegExp];

const get = (endpoint: string) => `{ call: http, with: { method: get, endpoint: ${endpoint} } }`;
const authenticated = (authentication: string) =>
  `- pet: ${get(`{ uri: 'https://pets.example/pet/{petId}', authentication: ${authentication} }`)}`;
const asyncapi = (rest: string) =>
  `- it: { call: asyncapi, with: { document: { endpoint: 'https://news.example/asyncapi.json' }, ${rest} } }`;
const subscription = (consume: string) => asyncapi(`operation: news, subscription: { consume: ${consume} }`);
const container = (rest: string) => `- it: { run: { container: { image: hello-world${rest} } } }`;
const returning = (what: string) => `- it: { run: { container: { image: hello-world }, return: ${what} } }`;
const vitals = `
            - with: { type: vitals.temperature, data: '\${ .temperature > 38 }' }
            - with: { type: vitals.bpm, data: '\${ .bpm < 60 or .bpm > 100 }' }`;

const noAsyncapi = /AsyncAPI calls are not supported/;
const noProcess = /containers, scripts and shells/i;

const examples: readonly Example[] = [
  [
    'accumulate-room-readings',
    `
do:
  - consume:
      listen:
        to:
          all:
            - { with: { source: https://home.example, type: sensor.temperature }, correlate: { roomId: { from: .roomid } } }
            - { with: { source: https://home.example, type: sensor.humidity }, correlate: { roomId: { from: .roomid } } }
      output: { as: '{ readings: . }' }
  - log:
      for: { each: reading, in: .readings }
      do:
        - call: { call: openapi, with: { document: { endpoint: 'http://orders.example/api.json' }, operationId: logreading } }
  - report: { call: openapi, with: { document: { endpoint: 'http://orders.example/api.json' }, operationId: report } }
timeout: { after: { hours: 1 } }`,
  ],
  ['authentication-bearer-uri-format', authenticated("{ bearer: { token: '${ .token }' } }")],
  [
    'authentication-bearer',
    `- pet: ${get("{ uri: 'https://pets.example/pet/1', authentication: { bearer: { token: '${ .token }' } } }")}`,
  ],
  [
    'authentication-oauth2-secret',
    `use: { secrets: [mine] }\ndo:\n  ${authenticated('{ oauth2: { use: mine } }')}`,
  ],
  [
    'authentication-oauth2',
    authenticated(
      "{ oauth2: { authority: 'http://id.example/realm', grant: client_credentials, client: { id: a, secret: b } } }",
    ),
  ],
  [
    'authentication-oidc-secret',
    `use: { secrets: [mine] }\ndo:\n  ${authenticated('{ oidc: { use: mine } }')}`,
  ],
  [
    'authentication-oidc',
    authenticated(
      "{ oidc: { authority: 'http://id.example/realm', grant: client_credentials, client: { id: a, secret: b } } }",
    ),
  ],
  [
    'authentication-reusable',
    `use: { authentications: { store: { bearer: { token: '\${ .token }' } } } }\ndo:\n  ${authenticated('{ use: store }')}`,
  ],
  [
    'call-asyncapi-publish',
    asyncapi("operation: find, message: { payload: { id: '${ .id }' } }"),
    '/do/0/it/call',
    noAsyncapi,
  ],
  ['call-asyncapi-subscribe-consume-amount', subscription('{ amount: 5 }'), '/do/0/it/call', noAsyncapi],
  [
    'call-asyncapi-subscribe-consume-forever-foreach',
    subscription("{ while: '${ true }' }"),
    '/do/0/it/call',
    noAsyncapi,
  ],
  [
    'call-asyncapi-subscribe-consume-until',
    subscription("{ for: { minutes: 30 }, until: '${ true }' }"),
    '/do/0/it/call',
    noAsyncapi,
  ],
  [
    'call-asyncapi-subscribe-consume-while',
    subscription("{ while: '${ length < 5 }' }"),
    '/do/0/it/call',
    noAsyncapi,
  ],
  [
    'call-custom-function-cataloged',
    "- log: { call: 'https://catalog.example/log/1.0.0/function.yaml', with: { message: Hello } }",
    '/do/0/log/call',
    /no function/,
  ],
  [
    'call-custom-function-inline',
    `
use:
  functions:
    getPet:
      input: { schema: { document: { type: object, properties: { petId: { type: integer } }, required: [petId] } } }
      call: http
      with: { method: get, endpoint: 'https://pets.example/pet/{petId}' }
do:
  - pet: { call: getPet, with: { petId: 69 } }`,
  ],
  [
    'call-grpc',
    "- greet: { call: grpc, with: { proto: { endpoint: 'file://greet.proto' }, service: { name: Greeter, host: localhost, port: 5011 }, method: SayHello } }",
    '/do/0/greet/call',
    /gRPC calls are not supported/,
  ],
  ['call-http-endpoint-interpolation-shorthand', `- pet: ${get("'https://pets.example/pet/{petId}'")}`],
  ['call-http-endpoint-interpolation', `- pet: ${get(`'\${ "https://pets.example/pet/\\(.petId)" }'`)}`],
  [
    'call-http-query-headers-expressions',
    `
- prepare: { set: { query: { search: '\${ .searchQuery }' }, headers: { Accept: application/json } } }
- search: { call: http, with: { method: get, endpoint: 'https://swapi.example/people/', headers: '\${ .headers }', query: '\${ .query }' } }`,
  ],
  [
    'call-http-query-parameters',
    "- search: { call: http, with: { method: get, endpoint: 'https://swapi.example/', query: { search: '${ .q }' } } }",
  ],
  [
    'call-http-redirect',
    "- search: { call: http, with: { method: get, endpoint: 'https://swapi.example/', redirect: true } }",
  ],
  [
    'call-mcp',
    '- post: { call: mcp, with: { method: tools/call, parameters: { name: post, arguments: { channel: c } }, transport: { stdio: { command: npx, arguments: [server] } } } }',
    '/do/0/post/with/transport/stdio',
    /mcp-gateway/,
  ],
  [
    'call-openapi-redirect',
    "- find: { call: openapi, with: { document: { endpoint: 'https://pets.example/api.json' }, operationId: find, redirect: true } }",
  ],
  [
    'call-openapi',
    "- find: { call: openapi, with: { document: { endpoint: 'https://pets.example/api.json' }, operationId: find, parameters: { status: available } } }",
  ],
  [
    'conditional-task',
    `
- refuse: { if: .customer.age < 18, raise: { error: { type: 'https://casino.example/forbidden', status: 400, title: Forbidden } }, then: end }
- bet: { call: http, with: { method: post, endpoint: 'https://casino.example/bet', body: { customer: .customer } } }`,
  ],
  [
    'do-multiple',
    `- get: ${get("'https://pets.example/pet/{petId}'")}\n- buy: { call: http, with: { method: put, endpoint: 'https://pets.example/pet/{petId}', body: '\${ . + { status: "sold" } }' } }`,
  ],
  ['do-single', `- get: ${get("'https://pets.example/pet/{petId}'")}`],
  [
    'emit',
    "- tell: { emit: { event: { with: { source: 'https://pets.example', type: order.placed.v1, data: { items: [{ breed: dalmatian }] } } } } }",
  ],
  [
    'for',
    `
- checkup:
    for: { each: pet, in: .pets, at: index }
    while: .vet != null
    do:
      - wait: { listen: { to: { one: { with: { type: checkup.completed.v2 } } } }, output: { as: '.pets + [{ "id": $pet.id }]' } }`,
  ],
  [
    'fork',
    `
- alarm:
    fork:
      compete: true
      branches:
        - nurse: { call: http, with: { method: put, endpoint: 'https://hospital.example/nurses', body: { room: '\${ .room.number }' } } }
        - doctor: { call: http, with: { method: put, endpoint: 'https://hospital.example/doctor', body: { room: '\${ .room.number }' } } }`,
  ],
  [
    'listen-to-all read-envelope',
    `- call:\n    listen:\n        read: envelope\n        to:\n          all:${vitals}`,
  ],
  ['listen-to-all', `- call:\n    listen:\n        to:\n          all:${vitals}`],
  ['listen-to-any-filter', `- call:\n    listen:\n        to:\n          any:${vitals}`],
  [
    'listen-to-any-forever-foreach',
    `
- gossip:
    listen: { to: { any: [], until: '\${ false }' } }
    foreach: { item: event, at: i, do: [{ post: { call: http, with: { method: post, endpoint: 'https://chat.example/{roomId}', body: { event: '\${ $event }' } } } }] }`,
  ],
  ['listen-to-any-until-condition', "- call: { listen: { to: { any: [], until: '( . | length ) > 3' } } }"],
  [
    'listen-to-any-until-consumed',
    `- call:\n    listen:\n        to:\n          any:${vitals}\n          until: { one: { with: { type: patient.checked-out } } }`,
  ],
  ['listen-to-any', '- call: { listen: { to: { any: [] } } }'],
  [
    'listen-to-one',
    `
- wait: { listen: { to: { one: { with: { type: race.started.v1 } } } } }
- start: { call: http, with: { method: post, endpoint: { uri: 'https://race.example/cars/{carId}/start' } } }`,
  ],
  [
    'mock-service-extension',
    `
use:
  extensions:
    - mock: { extend: call, before: [{ answer: { set: { statusCode: 200 }, then: exit } }] }
do:
  - http: ${get("{ uri: 'https://fake.example/sample' }")}`,
  ],
  [
    'raise-inline',
    `- no: { raise: { error: { type: 'https://errors.example/not-implemented', status: 500, title: Not Implemented, detail: '\${ "The workflow \\($workflow.definition.document.name) is not done" }' } } }`,
  ],
  [
    'raise-reusable',
    `
use: { errors: { notImplemented: { type: 'https://errors.example/not-implemented', status: 500, title: Not Implemented } } }
do:
  - no: { raise: { error: notImplemented } }`,
  ],
  ['run-container-cleanup-always', container(', lifetime: { cleanup: always }'), '/do/0/it/run', noProcess],
  [
    'run-container-cleanup-eventually',
    container(', lifetime: { cleanup: eventually, after: { minutes: 30 } }'),
    '/do/0/it/run',
    noProcess,
  ],
  [
    'run-container-stdin-and-arguments',
    container(", command: cat, stdin: '${ . }', arguments: [Foo]"),
    '/do/0/it/run',
    noProcess,
  ],
  ['run-container-with-name', container(", name: '${ .task.name }'"), '/do/0/it/run', noProcess],
  ['run-container-with-pull-policy', container(', pullPolicy: always'), '/do/0/it/run', noProcess],
  ['run-container', container(''), '/do/0/it/run', noProcess],
  ['run-return-all', returning('all'), '/do/0/it/run', noProcess],
  ['run-return-code', returning('code'), '/do/0/it/run', noProcess],
  ['run-return-none', returning('none'), '/do/0/it/run', noProcess],
  ['run-return-stderr', returning('stderr'), '/do/0/it/run', noProcess],
  [
    'run-script-with-stdin-and-arguments',
    '- it: { run: { script: { language: javascript, code: "1", stdin: Hello, arguments: [hello] } } }',
    '/do/0/it/run',
    noProcess,
  ],
  [
    'run-shell-stdin-and-arguments',
    "- it: { run: { shell: { command: cat, stdin: '${ . }', arguments: [Foo] } } }",
    '/do/0/it/run',
    noProcess,
  ],
  [
    'run-subflow',
    "- register: { run: { workflow: { namespace: test, name: register-customer, version: '0.1.0', input: { customer: .user } } } }",
  ],
  [
    'schedule-cron',
    `schedule: { cron: '0 0 * * *' }\ndo:\n  - backup: { call: http, with: { method: post, endpoint: 'https://x.example/backup' } }`,
  ],
  [
    'schedule-event-driven',
    `schedule: { on: { one: { with: { type: heartbeat.low } } } }\ndo:\n  - nurse: { call: http, with: { method: post, endpoint: 'https://x.example/notify', body: { patient: '\${ $workflow.input[0].data.patient.id }' } } }`,
  ],
  [
    'set-expression',
    `schedule: { on: { one: { with: { type: trigger.v1 } } } }\ndo:\n  - initialize: { set: '\${ $workflow.input[0] }' }`,
  ],
  [
    'set',
    `schedule: { on: { one: { with: { type: trigger.v1 } } } }\ndo:\n  - initialize: { set: { startEvent: '\${ $workflow.input[0] }' } }`,
  ],
  [
    'star-wars-homeworld',
    `
- character: { call: http, with: { method: get, endpoint: 'https://swapi.example/people/{id}', output: response }, export: { as: { homeworld: '\${ .content.homeworld }' } } }
- homeworld: ${get("'${ $context.homeworld }'")}`,
  ],
  [
    'switch-then-string',
    `
- process:
    switch:
      - one: { when: .orderType == "electronic", then: electronic }
      - two: { when: .orderType == "physical", then: physical }
      - default: { then: unknown }
- electronic: { set: { status: fulfilled }, then: exit }
- physical: { set: { items: 1 }, then: exit }
- unknown: { set: { log: warn } }`,
  ],
  [
    'try-catch-retry-inline',
    `- safe: { try: [{ get: ${get("'https://pets.example/pet/{petId}'")} }], catch: { errors: { with: { status: 503 } }, retry: { delay: { seconds: 3 }, backoff: { exponential: {} }, limit: { attempt: { count: 5 } } } } }`,
  ],
  [
    'try-catch-retry-reusable',
    `use: { retries: { default: { delay: { seconds: 3 }, backoff: { exponential: {} }, limit: { attempt: { count: 5 } } } } }\ndo:\n  - safe: { try: [{ get: ${get("'https://pets.example/pet/{petId}'")} }], catch: { errors: { with: { status: 503 } }, retry: default } }`,
  ],
  [
    'try-catch-then',
    `
- safe:
    try: [{ get: ${get("'https://pets.example/pet/{petId}'")} }]
    catch:
      errors: { with: { status: 404 } }
      as: error
      do:
        - notify: { emit: { event: { with: { source: 'https://pets.example', type: not-found.v1, data: '\${ $error }' } } } }
        - keep: { set: { error: $error }, export: { as: '$context + { error: $error }' } }
- buy: { if: $context.error == null, call: http, with: { method: put, endpoint: 'https://pets.example/pet/{petId}', body: '\${ . + { status: "sold" } }' } }`,
  ],
  [
    'try-catch',
    `- safe: { try: [{ get: ${get("'https://pets.example/pet/{petId}'")} }], catch: { errors: { with: { status: 404 } } } }`,
  ],
  ['wait-duration-inline', '- wait: { wait: { seconds: 30 } }'],
  ['wait-duration-iso8601', '- wait: { wait: PT30S }'],
];

test('[8.4-14] there are sixty-six', () => {
  expect(new Set(examples.map(([name]) => name)).size).toBe(66);
});

test.each([...examples])('[8.4-14] %s', async (_name, source, pointer, why) => {
  const members = parse(String(source));
  const definition = Array.isArray(members) ? definitionOf(members) : definitionOf(members.do, members);
  const { status, body } = await gateway.call('POST', '/v1/workflows:validate', { body: definition });
  if (pointer === undefined) {
    expect(status, JSON.stringify(body.errors)).toBe(200);
    return;
  }
  const found = body.errors.find((each: { pointer: string }) => each.pointer === pointer);
  expect(found?.message, JSON.stringify(body.errors)).toMatch(why ?? /./);
});
