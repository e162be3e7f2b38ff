import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { until } from './support/until.ts';

/** Events as senders of CloudEvents put them on the wire: whole, or with their attributes in headers. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const attributes = (id: string) => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-source': 'https://shop.example/%C3%BC',
  'ce-type': 'order.placed',
  'ce-subject': '"a \\"b\\""',
});

async function publish(headers: Record<string, string>, body?: string | Uint8Array<ArrayBuffer>) {
  const response = await fetch(`${gateway.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.deps.userKey}`, ...headers },
    ...(body !== undefined && { body }),
  });
  return { status: response.status, body: (await response.json()) as { reason?: string } };
}

/** What a run hears that listens to the event. */
async function heard(send: () => Promise<unknown>): Promise<unknown> {
  const hear = { listen: { to: { one: { with: { type: 'order.placed' } } }, read: 'envelope' } };
  const definition = definitionOf([{ hear }]);
  const { body: run } = await gateway.call('POST', '/v1/runs', { body: { definition } });
  await until(async () => (await gateway.call('GET', `/v1/runs/${run.id}`)).body.status === 'waiting');
  await send();
  const ended = () => gateway.call('GET', `/v1/runs/${run.id}`);
  await until(async () => (await ended()).body.status === 'completed');
  return (await ended()).body.output;
}

const said = { specversion: '1.0', source: 'https://shop.example/ü', type: 'order.placed', subject: 'a "b"' };

test.each([
  ['JSON', 'application/json', '{"n":1}', { data: { n: 1 } }],
  ['a text', 'text/plain; charset=utf-8', 'Grüße', { data: 'Grüße' }],
  ['bytes', 'application/octet-stream', new Uint8Array([0, 255]), { data_base64: 'AP8=' }],
])('an event whose attributes are headers and whose body is %s', async (name, type, body, data) => {
  const id = `of ${name}`;
  const send = async () => {
    const headers = { ...attributes(encodeURIComponent(id)), 'content-type': type };
    expect((await publish(headers, body)).status).toBe(202);
  };
  expect(await heard(send)).toEqual([{ ...said, id, datacontenttype: type, ...data }]);
});

test('one without data, and one as a whole that has such headers too', async () => {
  const send = async () => expect((await publish(attributes('bare'))).status).toBe(202);
  expect(await heard(send)).toEqual([{ ...said, id: 'bare' }]);
  const whole = { specversion: '1.0', id: 'whole', source: 'https://x.example', type: 'order.placed' };
  const headers = { ...attributes('other'), 'content-type': 'application/cloudevents+json' };
  expect(await heard(() => publish(headers, JSON.stringify(whole)))).toEqual([whole]);
});

test.each([
  ['no type', { 'ce-type': '' }],
  ['another version', { 'ce-specversion': '0.3' }],
  ['a header that cannot be decoded', { 'ce-source': '%E0%A4%A' }],
  ['a control character', { 'ce-id': 'a%00b' }],
  ['a name that no attribute has', { 'ce-a-b': 'x' }],
])('refused: %s', async (_, wrong) => {
  const headers = { ...attributes('x'), ...wrong, 'content-type': 'application/json' };
  expect(await publish(headers, '{}')).toMatchObject({ status: 400, body: { reason: 'request_invalid' } });
});

test('refused: data that are not what their type says, and a type that nobody reads', async () => {
  const json = { ...attributes('x'), 'content-type': 'application/json' };
  expect((await publish(json, '{')).status).toBe(400);
  expect((await publish({ ...json, 'content-type': 'application/xml' }, '<a/>')).status).toBe(415);
});

test('the size of an event is told in bytes, whatever its letters take', async () => {
  const data = 'ü'.repeat(600_000); // 1.2 MB
  const whole = { specversion: '1.0', id: 'large', source: 's', type: 'order.placed', data };
  const { status, body } = await publish(
    { 'content-type': 'application/cloudevents+json' },
    JSON.stringify(whole),
  );
  expect([status, body.reason]).toEqual([413, 'value_too_large']);
});

const batchHeaders = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };

test('a batch: each of its events, in their order', async () => {
  const batch = ['first', 'second'].map(id => ({
    specversion: '1.0',
    id: `batch ${id}`,
    source: 'https://x.example',
    type: `batch.${id}`,
    data: { id },
  }));
  const hear = { listen: { to: { all: batch.map(({ type }) => ({ with: { type } })) }, read: 'envelope' } };
  const { body: run } = await gateway.call('POST', '/v1/runs', {
    body: { definition: definitionOf([{ hear }]) },
  });
  await until(async () => (await gateway.call('GET', `/v1/runs/${run.id}`)).body.status === 'waiting');
  expect(await publish(batchHeaders, JSON.stringify(batch))).toMatchObject({
    status: 202,
    body: { events: batch.map(({ id, source }) => ({ id, source })) },
  });
  const ended = () => gateway.call('GET', `/v1/runs/${run.id}`);
  await until(async () => (await ended()).body.status === 'completed');
  expect((await ended()).body.output).toEqual(batch);
  expect(await publish(batchHeaders, '[]')).toMatchObject({ status: 202, body: { events: [] } });
});

test('a batch with a mistake is refused as a whole, and the mistake is named', async () => {
  const event = { specversion: '1.0', id: 'kept out', source: 'https://x.example', type: 'batch.refused' };
  const wrong = await publish(batchHeaders, JSON.stringify([event, { ...event, type: '' }]));
  expect(wrong).toMatchObject({ status: 400, body: { reason: 'request_invalid', param: '/1/type' } });
  expect((await publish(batchHeaders, JSON.stringify(event))).status).toBe(400);
  const huge = { ...event, data: 'x'.repeat(1_100_000) };
  expect((await publish(batchHeaders, JSON.stringify([event, huge]))).status).toBe(413);
  expect((await publish(batchHeaders, JSON.stringify(Array(1001).fill(event)))).status).toBe(400);
});
