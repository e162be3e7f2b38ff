import { once } from 'node:events';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, type Received, startFarEnd } from './support/http-far-end.ts';

interface Told {
  readonly type: string;
  readonly subject: string;
  readonly id: string;
  readonly data: { readonly run: string; readonly seq: number; readonly [key: string]: unknown };
}

let gateway: TestGateway;
let receiver: FarEnd;
const arrived = new EventTarget();

beforeAll(async () => {
  receiver = await startFarEnd((request, response) => {
    response.writeHead(request.path === '/gone' ? 410 : 204).end();
    arrived.dispatchEvent(new Event('request'));
  });
  gateway = await startGateway({ config: { webhooks: { private_hosts: ['127.0.0.1'] } } });
});
afterAll(async () => {
  await gateway.close();
  await receiver.close();
});

const hook = (body: Record<string, unknown>, key?: string) =>
  gateway.call('POST', '/v1/webhooks', { body, ...(key !== undefined && { key }) });
const run = async (tasks: unknown, key?: string) =>
  (
    await gateway.call('POST', '/v1/runs?wait=20', {
      body: { definition: definitionOf(tasks) },
      ...(key !== undefined && { key }),
    })
  ).body as { id: string; status: string };
const toldAt = (path: string): Received[] => receiver.received.filter(each => each.path === path);
const eventsAt = (path: string): Told[] => toldAt(path).map(({ body }) => JSON.parse(body) as Told);

async function untilTold(path: string, count: number): Promise<Told[]> {
  while (toldAt(path).length < count) await once(arrived, 'request');
  return eventsAt(path);
}

test('[8.4-13] a run tells what becomes of it and what it emits, in order, signed as Standard Webhooks says', async () => {
  const made = await hook({ url: `${receiver.url}/all?tenant=1`, description: 'everything' });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    id: expect.stringMatching(/^webhook_/),
    types: ['*'],
    principal: 'tester',
    paused: false,
    waiting: 0,
    dead: 0,
    secret: expect.stringMatching(/^whsec_/),
  });
  const { id } = await run([
    {
      order: {
        emit: { event: { with: { source: 'https://shop.example', type: 'order.made', data: { n: 1 } } } },
      },
    },
    {
      fail: {
        raise: { error: { type: 'https://example.com/bad', status: 400, title: 'Bad', detail: 'secret 17' } },
      },
    },
  ]);
  const told = await untilTold('/all?tenant=1', 3);
  expect(told.map(({ type }) => type)).toEqual(['strata.run.started', 'order.made', 'strata.run.failed']);
  expect(told[1]).toMatchObject({ source: 'https://shop.example', data: { n: 1 } });
  const last = told[2]?.data;
  expect(last).toMatchObject({ run: id, error: { title: 'Bad', status: 400 }, cost: { nano_usd: '0' } });
  expect(JSON.stringify(last)).not.toContain('secret 17');
  for (const { headers, body } of toldAt('/all?tenant=1')) {
    expect(headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
    const signed = headers as Record<string, string>; // each of the three is there once
    expect(new Webhook(made.body.secret).verify(body, signed)).toEqual(JSON.parse(body));
    expect(() => new Webhook(made.body.secret).verify(`${body} `, signed)).toThrow();
  }
  const ids = toldAt('/all?tenant=1').map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(3);
  expect((await gateway.call('GET', `/v1/webhooks/${made.body.id}`)).body).not.toHaveProperty('secret');
  await gateway.call('DELETE', `/v1/webhooks/${made.body.id}`);
});

test('a run is told of by the names of the specification to those who ask for them, with its members and no data', async () => {
  const made = await hook({ url: `${receiver.url}/lifecycle`, types: ['io.serverlessworkflow.*'] });
  const failed = await run([
    { fail: { raise: { error: { type: 'https://example.com/bad', status: 400, detail: 'secret 17' } } } },
  ]);
  const done = await run([{ a: { set: { x: 'secret 17' } } }]);
  const told = await untilTold('/lifecycle', 4);
  const of = (id: string) => told.filter(({ subject }) => subject === id);
  const name = (id: string) => `flow-${id}.test`;
  const moment = expect.stringMatching(/^\d{4}-.*Z$/);
  const prefix = 'io.serverlessworkflow.workflow';
  expect(of(failed.id)).toMatchObject([
    {
      type: `${prefix}.started.v1`,
      data: {
        name: name(failed.id),
        definition: { namespace: 'test', name: 'flow', version: '1.0.0' },
        startedAt: moment,
      },
    },
    {
      type: `${prefix}.faulted.v1`,
      data: {
        name: name(failed.id),
        faultedAt: moment,
        error: { type: 'https://example.com/bad', status: 400 },
      },
    },
  ]);
  expect(of(done.id)).toMatchObject([
    { type: `${prefix}.started.v1` },
    { type: `${prefix}.completed.v1`, data: { name: name(done.id), completedAt: moment } },
  ]);
  expect(JSON.stringify(told)).not.toContain('secret 17');
  const waiting = await gateway.call('POST', '/v1/runs', {
    body: { definition: definitionOf([{ rest: { wait: 'PT1H' } }]) },
  });
  for (const verb of ['pause', 'resume', 'terminate'])
    await gateway.call('POST', `/v1/runs/${waiting.body.id}:${verb}`, { body: {} });
  const words = (await untilTold('/lifecycle', 8)).flatMap(({ subject, type }) =>
    subject === waiting.body.id ? [type.split('.')[3]] : [],
  );
  expect(words).toEqual(['started', 'suspended', 'resumed', 'cancelled']);
  await gateway.call('DELETE', `/v1/webhooks/${made.body.id}`);
});

test('types choose; pausing holds back; a new secret signs beside the old one; a deleted one is told nothing', async () => {
  const made = await hook({ url: `${receiver.url}/some`, types: ['strata.run.completed'] });
  const at = (verb: string) => gateway.call('POST', `/v1/webhooks/${made.body.id}:${verb}`, { body: {} });
  const first = await run([{ a: { set: { x: 1 } } }]);
  expect((await untilTold('/some', 1)).map(({ subject }) => subject)).toEqual([first.id]);
  expect((await at('pause')).body).toMatchObject({ paused: true });
  const second = await run([{ a: { set: { x: 2 } } }]);
  const view = async () => (await gateway.call('GET', `/v1/webhooks/${made.body.id}`)).body;
  expect(await view()).toMatchObject({ paused: true, waiting: 1 });
  const rotated = await at('rotate');
  expect(rotated.body.secret).not.toBe(made.body.secret);
  expect((await at('resume')).body).toMatchObject({ paused: false });
  expect((await untilTold('/some', 2)).map(({ subject }) => subject)).toEqual([first.id, second.id]);
  const [, { headers, body } = { headers: {}, body: '' }] = toldAt('/some');
  for (const secret of [made.body.secret, rotated.body.secret])
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toBeTruthy();
  const changed = await gateway.call('PATCH', `/v1/webhooks/${made.body.id}`, {
    body: { types: ['strata.run.failed'] },
  });
  expect(changed.body).toMatchObject({ types: ['strata.run.failed'], url: `${receiver.url}/some` });
  expect((await gateway.call('DELETE', `/v1/webhooks/${made.body.id}`)).status).toBe(204);
  expect((await gateway.call('GET', `/v1/webhooks/${made.body.id}`)).status).toBe(404);
});

test('whoever made it is told only of workflows that they may see, and of nothing once their key is revoked', async () => {
  const limited = await gateway.deps.createKey({
    principal: 'limited',
    scopes: { ...allScopes, workflows: ['other/*'] },
  });
  const made = await hook({ url: `${receiver.url}/limited`, types: ['strata.run.completed'] }, limited);
  const watching = await hook({ url: `${receiver.url}/watching`, types: ['strata.run.completed'] });
  await run([{ a: { set: { done: true } } }]);
  await untilTold('/watching', 1);
  const mine = async () => (await gateway.call('GET', `/v1/webhooks/${made.body.id}`, { key: limited })).body;
  while ((await mine()).waiting > 0) await new Promise(resolve => setTimeout(resolve, 20)); // looks again
  expect(toldAt('/limited')).toEqual([]);

  const leaver = await gateway.deps.createKey({ principal: 'leaver', name: 'leaver' });
  const left = await hook({ url: `${receiver.url}/left`, types: ['strata.run.completed'] }, leaver);
  const keys = await gateway.deps.keys.list({ tenant: 'default', after: undefined, limit: 100 });
  const key = keys.find(each => each.principal === 'leaver');
  await gateway.deps.keys.change(key?.id ?? '', { isDisabled: true });
  await run([{ a: { set: { done: true } } }]);
  const owner = await gateway.deps.createKey({ principal: 'boss', roles: ['owner'] });
  const view = async () =>
    (await gateway.call('GET', `/v1/webhooks/${left.body.id}`, { key: owner })).body as { paused: boolean };
  while (!(await view()).paused) await new Promise(resolve => setTimeout(resolve, 20)); // looks again
  expect(toldAt('/left')).toEqual([]);
  for (const { body } of [made, watching])
    await gateway.call('DELETE', `/v1/webhooks/${body.id}`, { key: owner });
});

test('a receiver that is gone for good pauses its webhook, and what it missed is kept', async () => {
  const made = await hook({ url: `${receiver.url}/gone`, types: ['strata.run.completed'] });
  await run([{ a: { set: { done: true } } }]);
  await untilTold('/gone', 1);
  const view = async () => (await gateway.call('GET', `/v1/webhooks/${made.body.id}`)).body;
  while ((await view()).last_problem === undefined) await new Promise(resolve => setTimeout(resolve, 20)); // looks again
  expect(await view()).toMatchObject({ paused: true, waiting: 1, last_problem: 'It answered 410.' });
  await gateway.call('DELETE', `/v1/webhooks/${made.body.id}`);
});

test('[8.4-13] addresses that lead inside, credentials in them and mistakes are refused', async () => {
  const refused = async (body: Record<string, unknown>) => {
    const { status, body: problem } = await hook(body);
    return [status, problem.reason];
  };
  expect(await refused({ url: 'http://receiver.example/' })).toEqual([403, 'webhook_host_not_allowed']);
  expect(await refused({ url: 'https://user:pw@receiver.example/' })).toEqual([
    400,
    'webhook_address_invalid',
  ]);
  const fragment = await hook({ url: 'https://receiver.example/hook#part' });
  expect([fragment.status, fragment.body.detail]).toEqual([400, expect.stringContaining('fragment')]);
  expect(await refused({ url: 'ftp://receiver.example/' })).toEqual([400, 'webhook_address_invalid']);
  expect(await refused({ url: 'https://169.254.169.254/latest' })).toEqual([403, 'destination_not_allowed']);
  expect(await refused({ url: 'https://10.0.0.7/' })).toEqual([403, 'destination_not_allowed']);
  expect(await refused({ url: 'https://[::1]/' })).toEqual([403, 'destination_not_allowed']);
  expect(await refused({ url: 'https://a.example', types: ['a[b]'] })).toEqual([400, 'request_invalid']);
  expect(await refused({ url: 'https://a.example', typs: ['a'] })).toEqual([400, 'request_invalid']);
  expect((await gateway.call('POST', '/v1/webhooks/webhook_none:pause')).status).toBe(404);
  expect((await gateway.call('POST', '/v1/webhooks/webhook_none:dance')).body.reason).toBe('unknown_route');
});

test('another tenant, and another principal of the tenant, find nothing; owners do; changes are in the audit log', async () => {
  const made = await hook({ url: `${receiver.url}/mine`, types: ['never'] });
  const path = `/v1/webhooks/${made.body.id}`;
  const foreign = await gateway.deps.createKey({ tenant: 'other', principal: 'tester' });
  const colleague = await gateway.deps.createKey({ principal: 'colleague' });
  const owner = await gateway.deps.createKey({ principal: 'boss', roles: ['owner'] });
  for (const key of [foreign, colleague]) {
    const absent = await gateway.call('GET', '/v1/webhooks/webhook_none', { key });
    for (const [method, target] of [
      ['GET', path],
      ['DELETE', path],
      ['POST', `${path}:pause`],
      ['GET', `${path}/dead-letters`],
    ] as const) {
      const answer = await gateway.call(method, target, { key });
      expect([answer.status, answer.body.reason, answer.body.detail]).toEqual([
        404,
        absent.body.reason,
        absent.body.detail,
      ]);
    }
    expect((await gateway.call('GET', '/v1/webhooks', { key })).body.webhooks).toEqual([]);
  }
  const seen = (await gateway.call('GET', '/v1/webhooks', { key: owner })).body.webhooks;
  expect(seen.map((each: { id: string }) => each.id)).toContain(made.body.id);
  expect((await gateway.call('DELETE', path, { key: owner })).status).toBe(204);
  await gateway.deps.audit.flush();
  const { body } = await gateway.call('GET', '/admin/v1/audit?limit=200', { key: gateway.deps.adminKey });
  const records = body.items.map((each: { record: unknown }) => each.record) as {
    action: string;
    target?: { id: string };
  }[];
  const actions = records.filter(({ target }) => target?.id === made.body.id).map(({ action }) => action);
  expect(actions.sort()).toEqual(['webhook.create', 'webhook.delete']);
});

test('a tenant has a limited number of webhooks', async () => {
  const small = await startGateway({ config: { webhooks: { per_tenant: 2 } } });
  const make = async () =>
    (await small.call('POST', '/v1/webhooks', { body: { url: 'https://a.example/' } })).body;
  expect([(await make()).url, (await make()).url]).toEqual(['https://a.example/', 'https://a.example/']);
  expect((await make()).reason).toBe('too_many_webhooks');
  await small.close();
});
