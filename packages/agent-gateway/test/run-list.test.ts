import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** `GET /v1/runs` and what narrows it. */

let gateway: TestGateway;
const runs = new Map<string, string>();

beforeAll(async () => {
  gateway = await startGateway();
  await submit('plain', 'one', {});
  await submit('keyed', 'two', { metadata: { gateway: { concurrency: { key: 'c/1 &', limit: 5 } } } });
  await submit('later', 'two', { version: '2.0.0' });
});
afterAll(() => gateway.close());

async function submit(label: string, name: string, more: Record<string, unknown>): Promise<void> {
  const definition = definitionOf([{ a: { set: { x: 1 } } }]);
  const { status, body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: { ...definition, document: { ...definition.document, name, ...more } } },
    headers: { 'idempotency-key': `key:${label}` },
  });
  expect(status, JSON.stringify(body)).toBe(200);
  runs.set(body.id, label);
}

async function list(query: Record<string, string>): Promise<string[]> {
  const { status, body } = await gateway.call('GET', `/v1/runs?${new URLSearchParams(query)}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.runs.map(({ id }: { id: string }) => runs.get(id));
}

test('runs are found by concurrency key, idempotency key, workflow, version, principal and status', async () => {
  expect(await list({})).toEqual(['later', 'keyed', 'plain']);
  expect(await list({ key: 'c/1 &' })).toEqual(['keyed']);
  expect(await list({ key: 'c/1' })).toEqual([]);
  expect(await list({ idempotency_key: 'key:plain' })).toEqual(['plain']);
  expect(await list({ workflow: 'test/two' })).toEqual(['later', 'keyed']);
  expect(await list({ workflow: 'test/two@2.0.0', status: 'completed' })).toEqual(['later']);
  expect(await list({ workflow: 'test/two', status: 'failed' })).toEqual([]);
  const { body } = await gateway.call('GET', '/v1/runs?limit=1');
  expect(await list({ principal: body.runs[0].principal, limit: '2' })).toEqual(['later', 'keyed']);
  expect(await list({ principal: 'nobody' })).toEqual([]);
  expect(await list({ workflow: 'test/two', limit: '1', cursor: body.next_cursor })).toEqual(['keyed']);
});

test('a filter that cannot be read is refused, and so is one that there is not', async () => {
  for (const query of ['workflow=two', 'key=', 'colour=red', 'status=asleep', 'key=a&key=b']) {
    const { status, body } = await gateway.call('GET', `/v1/runs?${query}`);
    expect([query, status, body.reason]).toEqual([query, 400, 'request_invalid']);
  }
});
