import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runVerbs } from '../src/http/run-verbs.ts';
import { type Answer, definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { startFarEnd } from './support/http-far-end.ts';

/** Whatever somebody changes over the API is one entry of the audit log, which names them. */

const opened: { close(): Promise<void> }[] = [];
let deps: TestDeps;
let gateway: TestGateway;

async function open(): Promise<void> {
  gateway = await startGateway({ deps, config: { max_wait_ms: 20_000 } });
  opened.push(gateway);
}
beforeEach(async () => {
  deps = await createTestDeps({ name: 'agent-gateway' });
  opened.push(deps);
  await open();
});
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const call = (method: string, path: string, body: unknown = {}) => gateway.call(method, path, { body });

async function submit(tasks: unknown, wait = 20): Promise<string> {
  const { body } = await call('POST', `/v1/runs?wait=${wait}`, {
    definition: definitionOf(tasks),
    input: {},
  });
  return body.id;
}

async function becomes(id: string, status: string): Promise<void> {
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${id}`)).body.status, { timeout: 30_000 })
    .toBe(status);
}

let exported: unknown;
const rest = { rest: { wait: { hours: 1 } } };
const waiting = async () => {
  const id = await submit([rest], 0);
  await becomes(id, 'waiting');
  return id;
};
const paused = async () => {
  const id = await waiting();
  await call('POST', `/v1/runs/${id}:pause`);
  await becomes(id, 'paused');
  return id;
};
const completed = () => submit([{ one: { set: { a: 1 } } }]);
const failed = () =>
  submit([{ one: { raise: { error: { type: 'https://example.com/no', status: 500, title: 'No' } } } }]);

/** A call that had begun when its worker died, and that nobody knows the end of. */
async function inDoubt(): Promise<string> {
  const arrived = Promise.withResolvers<void>();
  const farEnd = await startFarEnd(() => arrived.resolve());
  opened.push(farEnd);
  const id = await submit([{ pay: { call: 'http', with: { method: 'post', endpoint: farEnd.url } } }], 0);
  await arrived.promise;
  await gateway.close();
  await open();
  await becomes(id, 'in_doubt');
  return id;
}

const other = (version: string, tasks: readonly object[] = [rest]) => ({
  ...definitionOf(tasks),
  document: { dsl: '1.0.3', namespace: 'test', name: 'flow', version },
});
const ofRun = (verb: string, prepare: () => Promise<string>, body: unknown = {}) => ({
  route: 'POST /v1/runs/:id',
  action: `run.${verb}`,
  prepare,
  act: (id: string) => call('POST', `/v1/runs/${id}:${verb}`, body),
});
const ofSchedule = (method: string, verb: string, path = '', body: unknown = {}) => ({
  route: `${method} /v1/schedules/:name`,
  action: `schedule.${verb}`,
  prepare: async () => {
    await putWorkflow();
    if (verb !== 'put') await call('PUT', '/v1/schedules/nightly', schedule);
    return 'nightly';
  },
  act: (name: string) =>
    gateway.call(method, `/v1/schedules/${name}${path}`, method === 'DELETE' ? {} : { body }),
});
const hook = { url: 'https://example.com/hook', types: ['run-completed'] };
const ofWebhook = (method: string, verb: string, path = '', body: unknown = {}) => ({
  route: `${method} /v1/webhooks/:id`,
  action: `webhook.${verb}`,
  prepare: async () => (await call('POST', '/v1/webhooks', hook)).body.id,
  act: (id: string) => gateway.call(method, `/v1/webhooks/${id}${path}`, method === 'DELETE' ? {} : { body }),
});
const schedule = { workflow: { namespace: 'test', name: 'flow', version: '9.0.0' }, every: { days: 1 } };
const putWorkflow = () => call('PUT', '/v1/workflows/test/flow/9.0.0', other('9.0.0'));

interface Case {
  readonly route: string;
  readonly action: string;
  readonly prepare: () => Promise<string>;
  readonly act: (id: string) => Promise<Answer>;
}

const cases: readonly Case[] = [
  ofRun('cancel', waiting, { reason: 'not needed' }),
  ofRun('terminate', waiting),
  ofRun('pause', waiting),
  ofRun('resume', paused),
  ofRun('resolve', inDoubt, { action: 'fail', detail: 'given up' }),
  ofRun('retry', failed),
  ofRun('rewind', completed, { task: '/do/0/one' }),
  ofRun('fork', completed, { task: '/do/0/one' }),
  ofRun('migrate', waiting, { definition: other('1.0.1', [rest, { after: { set: { a: 1 } } }]) }),
  ofRun('export', waiting),
  {
    route: 'POST /v1/runs::import',
    action: 'run.import',
    prepare: async () => {
      exported = (await call('POST', `/v1/runs/${await waiting()}:export`)).body;
      return 'run_'; // it has another id where it goes on
    },
    act: () => call('POST', '/v1/runs:import', exported),
  },
  ofSchedule('PUT', 'put', '', schedule),
  ofSchedule('DELETE', 'delete'),
  ofSchedule('POST', 'pause', ':pause'),
  ofSchedule('POST', 'resume', ':resume'),
  ofSchedule('POST', 'trigger', ':trigger'),
  ofSchedule('POST', 'backfill', ':backfill', {
    from: '2026-01-01T00:00:00Z',
    until: '2026-01-02T00:00:00Z',
  }),
  {
    route: 'POST /v1/webhooks',
    action: 'webhook.create',
    prepare: async () => 'webhook_',
    act: () => call('POST', '/v1/webhooks', hook),
  },
  ofWebhook('PATCH', 'change', '', { description: 'for the desk' }),
  ofWebhook('DELETE', 'delete'),
  ofWebhook('POST', 'pause', ':pause'),
  ofWebhook('POST', 'resume', ':resume'),
  ofWebhook('POST', 'rotate', ':rotate'),
  ofWebhook('POST', 'redeliver', ':redeliver'),
  {
    route: 'PUT /v1/workflows/:namespace/:name/:version',
    action: 'workflow.store',
    prepare: async () => '9.0.0',
    act: putWorkflow,
  },
  {
    route: 'DELETE /v1/workflows/:namespace/:name/:version',
    action: 'workflow.delete',
    prepare: async () => {
      await call('PUT', '/v1/workflows/test/flow/9.1.0', other('9.1.0'));
      return '9.1.0';
    },
    act: version => gateway.call('DELETE', `/v1/workflows/test/flow/${version}`),
  },
  {
    route: 'PUT /v1/queues/:name',
    action: 'queue.change',
    prepare: async () => 'support',
    act: name => call('PUT', `/v1/queues/${name}`, { limit: 3 }),
  },
  {
    route: 'POST /v1/queues/:name',
    action: 'queue.change',
    prepare: async () => {
      await call('PUT', '/v1/queues/support', { limit: 3 });
      return 'support';
    },
    act: name => call('POST', `/v1/queues/${name}:pause`),
  },
];

/** What changes nothing that belongs to somebody, or is the work of runs itself: the journal holds it. Approvals have entries of their own kind. */
const others: readonly string[] = [
  'POST /v1/runs',
  'POST /v1/runs/:id/signals/:name',
  'POST /v1/events',
  'POST /v1/workflows::validate',
  'POST /v1/workflows::graph',
  'POST /v1/approvals/:id',
  'PUT /v1/store/:namespace/:key',
  'DELETE /v1/store/:namespace/:key',
  'POST /v1/artifacts',
  'DELETE /v1/artifacts/:hash',
  'POST /v1/threads',
  'PATCH /v1/threads/:id',
  'DELETE /v1/threads/:id',
];

test('[I18] every route that changes something is in the table below', () => {
  const changing = gateway.routes
    .filter(({ method, url }) => !['GET', 'HEAD', 'OPTIONS'].includes(method) && !url.startsWith('/admin/'))
    .map(({ method, url }) => `${method} ${url}`);
  const known = new Set([...cases.map(({ route }) => route), ...others]);
  expect(changing.filter(route => !known.has(route))).toEqual([]);
  const verbs = cases.filter(({ route }) => route === 'POST /v1/runs/:id').map(({ action }) => action);
  expect([...Object.keys(runVerbs)].filter(verb => !verbs.includes(`run.${verb}`))).toEqual([]);
});

async function entries() {
  await deps.audit.flush();
  const rows = await deps.sql.db
    .selectFrom('audit_entries')
    .select('record')
    .where('category', '=', 'admin')
    .orderBy('seq')
    .execute();
  return rows.map(({ record }) => JSON.parse(record) as Record<string, unknown>);
}

test.each(cases)(
  '[I18] $route as $action is one entry, which is there when it is answered',
  async ({ action, prepare, act }) => {
    const id = await prepare();
    const before = (await entries()).length;
    const answer = await act(id);
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    const rows = await deps.sql.db
      .selectFrom('audit_entries')
      .select('record')
      .where('category', '=', 'admin')
      .orderBy('seq')
      .execute();
    const added = rows.slice(before).map(({ record }) => JSON.parse(record) as Record<string, unknown>);
    expect(added).toEqual([
      expect.objectContaining({
        action,
        outcome: 'succeeded',
        principal: 'tester',
        gateway: 'agent-gateway',
        target: { type: action.split('.')[0], id: expect.stringContaining(id) },
        request_id: answer.headers.get('x-request-id'),
      }),
    ]);
  },
);

test('[I18] what is refused is no entry of a change', async () => {
  const id = await completed();
  const before = (await entries()).length;
  for (const verb of ['cancel', 'pause', 'resolve', 'terminate', 'nothing'])
    expect(
      (await call('POST', `/v1/runs/${id}:${verb}`, verb === 'resolve' ? { action: 'retry' } : {})).status,
    ).toBeGreaterThan(399);
  expect((await call('DELETE', '/v1/schedules/none')).status).toBeGreaterThan(399);
  expect(await entries()).toHaveLength(before);
});
