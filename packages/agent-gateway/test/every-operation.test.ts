import { noScopes } from '@strata/shared/identity/scopes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** What holds for every operation of the served OpenAPI document, one by one: a row is missing here, and the test says so. */

let gateway: TestGateway;
let stranger: string;
let narrow: string;
let made = 0;

beforeAll(async () => {
  gateway = await startGateway({ config: { webhooks: { private_hosts: ['127.0.0.1'] } } });
  stranger = await gateway.deps.createKey({ tenant: 'other', principal: 'stranger' });
  narrow = await gateway.deps.createKey({
    principal: 'narrow',
    scopes: { ...noScopes, workflows: ['else/*'] },
  });
});
afterAll(() => gateway.close());

async function create(method: string, path: string, body: unknown) {
  const answer = await gateway.call(method, path, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
}

const waits = definitionOf([{ wait: { wait: 'PT1H' } }]);
const asks = definitionOf([
  { ask: { call: 'human', with: { title: 'Sure?', assignees: ['tester'], deadline: 'PT1H' } } },
]);

/** Makes a thing of its kind and gives the parts of paths that name it. */
const things = {
  async run() {
    const { id } = await create('POST', '/v1/runs', { definition: waits });
    return { id, name: 'go' };
  },
  async workflow() {
    const name = `flow-${++made}`;
    const document = { dsl: '1.0.3', namespace: 'test', name, version: '1.0.0' };
    await create('PUT', `/v1/workflows/test/${name}/1.0.0`, { ...waits, document });
    return { namespace: 'test', name, version: '1.0.0' };
  },
  async schedule() {
    const name = `schedule-${++made}`;
    await create('PUT', `/v1/schedules/${name}`, { workflow: await things.workflow(), cron: '0 0 1 1 *' });
    return { name };
  },
  async approval() {
    const { id: run } = await create('POST', '/v1/runs', { definition: asks });
    for (;;) {
      const { body } = await gateway.call('GET', '/v1/approvals?limit=200');
      const asked = body.approvals.find((each: { run: string }) => each.run === run);
      if (asked !== undefined) return { id: asked.id as string };
      await new Promise(resolve => setTimeout(resolve, 20)); // asks again; nothing is decided by the time
    }
  },
  async queue() {
    const name = `queue-${++made}`;
    await create('PUT', `/v1/queues/${name}`, { limit: 3 });
    return { name };
  },
  async webhook() {
    const { id } = await create('POST', '/v1/webhooks', { url: `http://127.0.0.1:9/${++made}` });
    return { id: id as string };
  },
  async item() {
    const key = `item-${++made}`;
    await create('PUT', `/v1/store/test/${key}`, { value: made });
    return { namespace: 'test', key };
  },
  async thread() {
    const { id } = await create('POST', '/v1/threads', {});
    return { id: id as string };
  },
  async artifact() {
    const { hash } = await create('POST', '/v1/artifacts', `made: ${++made}`);
    return { hash };
  },
} satisfies Record<string, () => Promise<Record<string, string>>>;
type Kind = keyof typeof things;

interface Row {
  readonly of: Kind;
  readonly body?: unknown;
  /** It makes the thing where there is none: what a stranger sends makes one of the stranger's. */
  readonly creates?: true;
}

const digest = `sha256:${'0'.repeat(64)}`;
const rows: Readonly<Record<string, Row>> = {
  'GET /v1/runs/{id}': { of: 'run' },
  'POST /v1/runs/{id}:cancel': { of: 'run', body: {} },
  'POST /v1/runs/{id}:terminate': { of: 'run', body: {} },
  'POST /v1/runs/{id}:pause': { of: 'run', body: {} },
  'POST /v1/runs/{id}:resume': { of: 'run', body: {} },
  'POST /v1/runs/{id}:resolve': { of: 'run', body: { resolution: { action: 'retry' } } },
  'POST /v1/runs/{id}:retry': { of: 'run', body: {} },
  'POST /v1/runs/{id}:rewind': { of: 'run', body: { task: '/do/0/wait' } },
  'POST /v1/runs/{id}:fork': { of: 'run', body: { task: '/do/0/wait' } },
  'POST /v1/runs/{id}:migrate': { of: 'run', body: { definition: waits } },
  'POST /v1/runs/{id}:export': { of: 'run', body: {} },
  'GET /v1/runs/{id}/export': { of: 'run' },
  'POST /v1/runs/{id}/signals/{name}': { of: 'run', body: {} },
  'GET /v1/runs/{id}/events': { of: 'run' },
  'GET /v1/runs/{id}/timeline': { of: 'run' },
  'GET /v1/runs/{id}/tasks': { of: 'run' },
  'GET /v1/runs/{id}/cost': { of: 'run' },
  'PUT /v1/workflows/{namespace}/{name}/{version}': { of: 'workflow', creates: true },
  'GET /v1/workflows/{namespace}/{name}/{version}': { of: 'workflow' },
  'DELETE /v1/workflows/{namespace}/{name}/{version}': { of: 'workflow' },
  'GET /v1/workflows/{namespace}/{name}/{version}:graph': { of: 'workflow' },
  'PUT /v1/schedules/{name}': { of: 'schedule', creates: true },
  'GET /v1/schedules/{name}': { of: 'schedule' },
  'DELETE /v1/schedules/{name}': { of: 'schedule' },
  'POST /v1/schedules/{name}:pause': { of: 'schedule', body: {} },
  'POST /v1/schedules/{name}:resume': { of: 'schedule', body: {} },
  'POST /v1/schedules/{name}:trigger': { of: 'schedule', body: {} },
  'POST /v1/schedules/{name}:backfill': {
    of: 'schedule',
    body: { from: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' },
  },
  'GET /v1/approvals/{id}': { of: 'approval' },
  'POST /v1/approvals/{id}:decide': { of: 'approval', body: { decision: 'approved', digest } },
  'GET /v1/queues/{name}': { of: 'queue' },
  'PUT /v1/queues/{name}': { of: 'queue', creates: true },
  'POST /v1/queues/{name}:pause': { of: 'queue', body: {} },
  'POST /v1/queues/{name}:resume': { of: 'queue', body: {} },
  'GET /v1/webhooks/{id}': { of: 'webhook' },
  'PATCH /v1/webhooks/{id}': { of: 'webhook', body: { types: ['x'] } },
  'DELETE /v1/webhooks/{id}': { of: 'webhook' },
  'GET /v1/webhooks/{id}/dead-letters': { of: 'webhook' },
  'POST /v1/webhooks/{id}:pause': { of: 'webhook', body: {} },
  'POST /v1/webhooks/{id}:resume': { of: 'webhook', body: {} },
  'POST /v1/webhooks/{id}:rotate': { of: 'webhook', body: {} },
  'POST /v1/webhooks/{id}:redeliver': { of: 'webhook', body: {} },
  'PUT /v1/store/{namespace}/{key}': { of: 'item', creates: true },
  'GET /v1/store/{namespace}/{key}': { of: 'item' },
  'DELETE /v1/store/{namespace}/{key}': { of: 'item' },
  'GET /v1/threads/{id}': { of: 'thread' },
  'PATCH /v1/threads/{id}': { of: 'thread', body: { metadata: {} } },
  'DELETE /v1/threads/{id}': { of: 'thread' },
  'GET /v1/threads/{id}/runs': { of: 'thread' },
  'GET /v1/artifacts/{hash}': { of: 'artifact' },
  'DELETE /v1/artifacts/{hash}': { of: 'artifact' },
};

/** The lists, with the member that holds the page and the kind of what is in it. */
const lists: Readonly<Record<string, { readonly member: string; readonly of: Kind; readonly by: string }>> = {
  'GET /v1/runs': { member: 'runs', of: 'run', by: 'id' },
  'GET /v1/workflows': { member: 'workflows', of: 'workflow', by: 'name' },
  'GET /v1/schedules': { member: 'schedules', of: 'schedule', by: 'name' },
  'GET /v1/approvals': { member: 'approvals', of: 'approval', by: 'id' },
  'GET /v1/queues': { member: 'queues', of: 'queue', by: 'key' },
  'GET /v1/webhooks': { member: 'webhooks', of: 'webhook', by: 'id' },
  'GET /v1/threads': { member: 'threads', of: 'thread', by: 'id' },
  'GET /v1/store': { member: 'items', of: 'item', by: 'key' },
  'GET /v1/artifacts': { member: 'artifacts', of: 'artifact', by: 'hash' },
};

const withoutPath = [
  'POST /v1/runs',
  'POST /v1/runs:import',
  'POST /v1/events',
  'POST /v1/webhooks',
  'POST /v1/artifacts',
  'POST /v1/threads',
  'POST /v1/workflows:validate',
  'POST /v1/workflows:graph',
];

function documented(): string[] {
  return Object.entries(gateway.openApi.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
}

function splitOf(operation: string): [method: string, path: string] {
  const [method = '', path = ''] = operation.split(' ');
  return [method, path];
}

const fill = (path: string, names: Readonly<Record<string, string>>) =>
  path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => names[name] ?? `?${name}`);

/** What is there no more than in name: of the same form, and of nobody. */
const absentOf = (names: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(names).map(([name, value]) => [
      name,
      ['namespace', 'version'].includes(name)
        ? value
        : value.replace(/.$/, last =>
            name === 'hash' ? (last === '0' ? '1' : '0') : last === 'z' ? 'y' : 'z',
          ),
    ]),
  );

/** An answer without what may differ: the number of the request, and the name that was asked for. */
function essence({ status, body }: Answer, names: Readonly<Record<string, string>>): string {
  const { request_id: _, ...rest } = typeof body === 'object' ? body : { body };
  const named = Object.entries(names).filter(([name]) => !['namespace', 'version'].includes(name));
  return named.reduce(
    (text, [, value]) => text.replaceAll(value, 'NAME'),
    JSON.stringify({ status, ...rest }),
  );
}

test('every operation of the document has a row here', () => {
  expect([...Object.keys(rows), ...Object.keys(lists), ...withoutPath].sort()).toEqual(documented().sort());
});

test('[S-2] without a key, and with one that is none, every operation answers 401', async () => {
  for (const operation of documented()) {
    const [method, path] = splitOf(operation);
    for (const headers of [{}, { authorization: 'Bearer sk-strata-none' }]) {
      const names = { id: 'x', name: 'x', namespace: 'x', version: '1.0.0', key: 'x', hash: 'x' };
      const response = await fetch(gateway.url + fill(path, names), { method, headers });
      expect([operation, response.status]).toEqual([operation, 401]);
    }
  }
});

test.each(Object.entries(rows).filter(([, row]) => !row.creates))(
  '[S-1] %s: what is of another tenant, or of workflows that a key may not use, is as if it were not there',
  async (operation, { of, body }) => {
    const [method, path] = splitOf(operation);
    const own = await things[of]();
    const absent = absentOf(own);
    const foreigners = of === 'queue' || of === 'artifact' ? [stranger] : [stranger, narrow];
    for (const key of foreigners) {
      const options = { key, ...(body !== undefined && { body }) };
      const foreign = essence(await gateway.call(method, fill(path, own), options), own);
      expect(foreign).toBe(essence(await gateway.call(method, fill(path, absent), options), absent));
    }
    if (operation === 'GET /v1/runs/{id}/events') return; // the stream of a run that waits does not end
    const { status } = await gateway.call(method, fill(path, own), { ...(body !== undefined && { body }) });
    expect(status, 'its owner finds it').not.toBe(404);
  },
);

test.each(Object.entries(rows).filter(([, row]) => row.creates))(
  '[S-1] %s: under a name that another tenant has makes one of its own, and changes nothing of the other',
  async (operation, { of }) => {
    const [, path] = splitOf(operation);
    const own = await things[of]();
    const place = fill(path, own);
    const before = (await gateway.call('GET', place)).body;
    const bodies: Partial<Record<Kind, unknown>> = {
      workflow: { ...definitionOf([{ other: { set: { a: 1 } } }]), document: { dsl: '1.0.3', ...own } },
      schedule: { workflow: { namespace: 'x', name: 'y', version: '1.0.0' }, every: { days: 7 } },
      queue: { limit: 9 },
      item: { value: 'theirs' },
    };
    const { status } = await gateway.call('PUT', place, { key: stranger, body: bodies[of] });
    expect(status).toBeLessThan(300);
    expect((await gateway.call('GET', place)).body).toEqual(before);
    expect((await gateway.call('GET', place, { key: stranger })).body).not.toEqual(before);
  },
);

test.each(Object.entries(lists))(
  '%s: page by page it gives all that there is, once, and nothing of another tenant',
  async (operation, { member, of, by }) => {
    const [, path] = splitOf(operation);
    for (let count = 0; count < 5; count++) await things[of]();
    const namesOf = ({ body }: Answer): string[] =>
      body[member].map((each: Record<string, unknown>) => String(each[by]));
    const whole = namesOf(await gateway.call('GET', `${path}?limit=200`));
    expect(whole.length).toBeGreaterThanOrEqual(5);
    const paged: string[] = [];
    let cursor = '';
    do {
      const page = await gateway.call('GET', `${path}?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(namesOf(page).length).toBeLessThanOrEqual(2);
      paged.push(...namesOf(page));
      cursor = encodeURIComponent(page.body.next_cursor ?? '');
    } while (cursor !== '');
    expect(paged).toEqual(whole);
    const elsewhere = await gateway.deps.createKey({ tenant: 'elsewhere' });
    expect(namesOf(await gateway.call('GET', `${path}?limit=200`, { key: elsewhere }))).toEqual([]);
    for (const query of ['limit=0', 'limit=-1', 'limit=1.5', 'limit=x', 'limit=201', 'unknown=1'])
      expect([query, (await gateway.call('GET', `${path}?${query}`)).status]).toEqual([query, 400]);
  },
);

test('an idempotency key means one run, whoever else uses the same', async () => {
  const { id } = await things.run();
  const other = definitionOf([{ wait: { wait: 'PT2H' } }]);
  const operations: [path: string, same: unknown, another: unknown][] = [
    ['/v1/runs', { definition: waits, input: { a: 1, b: 2 } }, { definition: other }],
    [`/v1/runs/${id}:fork`, { task: '/do/0/wait' }, { task: '/do/0/wait', definition: other }],
  ];
  const withKey = documented().filter(operation => {
    const [method, path] = splitOf(operation);
    const described = gateway.openApi.paths[path]?.[method.toLowerCase()] as unknown; // as it is served
    const { parameters = [] } = (described ?? {}) as { parameters?: { name: string }[] };
    return parameters.some(({ name }) => name === 'Idempotency-Key');
  });
  expect(withKey).toHaveLength(operations.length);
  for (const [path, same, another] of operations) {
    const send = (body: unknown, key?: string) =>
      gateway.call('POST', path, { body, headers: { 'idempotency-key': 'k-1' }, ...(key && { key }) });
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(same)));
    expect(new Set(answers.map(({ body }) => body.id)).size, path).toBe(1);
    expect((await send(another)).body).toMatchObject({ status: 409, reason: 'idempotency_key_reused' });
    if (path !== '/v1/runs') continue;
    expect((await send(another, stranger)).status).toBe(202);
  }
  for (const key of ['', 'a b', 'x'.repeat(256)])
    expect(
      (
        await gateway.call('POST', '/v1/runs', {
          body: { definition: waits },
          headers: { 'idempotency-key': key },
        })
      ).body.reason,
    ).toBe('idempotency_key_invalid');
});
