import { afterEach, expect, test } from 'vitest';
import { inOrder, type Plan, type PlanSource } from './fake-upstream/plan.ts';
import {
  chunkExtensionPlan,
  cutStreamPlan,
  jsonPlan,
  rawPlan,
  ssePlan,
  wrongLengthPlan,
} from './fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from './fake-upstream.ts';
import { createWireClient, type WireClient, WireError } from './wire-client.ts';

let upstream: FakeUpstream | undefined;
let client: WireClient | undefined;

afterEach(async () => {
  client?.close();
  await upstream?.close();
});

async function start(plan: PlanSource, onConnection?: () => Plan) {
  upstream = await startFakeUpstream({ plan, ...(onConnection ? { onConnection } : {}) });
  client = createWireClient(upstream);
  return { upstream, client };
}

async function failureOf(promise: Promise<unknown>): Promise<WireError> {
  const error = await promise.catch((problem: unknown) => problem);
  if (error instanceof WireError) return error;
  throw new Error(`Expected a WireError, got ${String(error)}`);
}

test('whole answers of every framing are taken, on one connection', async () => {
  const started = await start(
    inOrder(
      jsonPlan({ a: 1 }),
      ssePlan(['one', 'two']),
      [{ op: 'status', status: 204 }],
      chunkExtensionPlan(['ab', 'c']),
    ),
  );
  const json = await started.client.request({
    method: 'POST',
    path: '/x',
    body: 'hello',
    headers: { 'x-a': '1' },
  });
  expect(json).toMatchObject({ status: 200, reusedConnection: false, headers: { 'content-length': '7' } });
  expect(json.body.toString()).toBe('{"a":1}');
  const pieces: string[] = [];
  const stream = await started.client.request({ path: '/', onBody: bytes => pieces.push(bytes.toString()) });
  expect(stream.reusedConnection).toBe(true);
  expect(stream.body.toString()).toBe('data: one\n\ndata: two\n\n');
  expect(pieces.join('')).toBe(stream.body.toString());
  expect((await started.client.request({ path: '/' })).status).toBe(204);
  const trailing = await started.client.request({ path: '/' });
  expect(trailing.body.toString()).toBe('abc');
  expect(trailing.trailers).toEqual([['x-trailer', '1']]);
  expect(started.upstream.requests[0]).toMatchObject({ method: 'POST', path: '/x', bodyBytes: 5 });
  expect(started.client).toMatchObject({ completed: 4, connectionsOpened: 1 });
  expect(started.client.failures.size).toBe(0);
});

test('a body that lasts until the close is whole with FIN, and the connection is not used again', async () => {
  const started = await start([
    { op: 'headers', headers: { connection: 'close' } },
    { op: 'write', bytes: 'all of it' },
  ]);
  expect((await started.client.request({ path: '/' })).body.toString()).toBe('all of it');
  expect((await started.client.request({ path: '/' })).reusedConnection).toBe(false);
});

test('an interim answer is not the answer', async () => {
  const started = await start([
    {
      op: 'raw',
      bytes: 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    },
  ]);
  const response = await started.client.request({ path: '/' });
  expect([response.status, response.body.toString(), response.headers.link]).toEqual([200, 'ok', undefined]);
});

const ok = 'HTTP/1.1 200 OK\r\n';
test.each<[string, Plan, string]>([
  ['RST before the answer', [{ op: 'rst' }], 'no-response'],
  ['FIN before the answer', [{ op: 'fin' }], 'no-response'],
  ['FIN in the head', rawPlan(`${ok}content-le`), 'short-body'],
  ['a body shorter than its length', wrongLengthPlan('{}', 5), 'short-body'],
  ['FIN between chunks', cutStreamPlan('data: 1\n\n', { afterBytes: 9, how: 'fin' }), 'short-body'],
  ['RST between chunks', cutStreamPlan('data: 1\n\n', { afterBytes: 9, how: 'rst' }), 'reset'],
  [
    'a chunk longer than its size',
    rawPlan(`${ok}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`),
    'bad-bytes',
  ],
  ['two lengths', rawPlan(`${ok}content-length: 1\r\ncontent-length: 1\r\n\r\na`), 'bad-bytes'],
  [
    'a length beside chunks',
    rawPlan(`${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
    'bad-bytes',
  ],
  ['another protocol', rawPlan('SSH-2.0-OpenSSH\r\n\r\n'), 'bad-bytes'],
  ['a folded header', rawPlan(`${ok}a: b\r\n c\r\ncontent-length: 0\r\n\r\n`), 'bad-bytes'],
])('%s is a failure that is counted', async (_name, plan, kind) => {
  const started = await start(plan);
  const failure = await failureOf(started.client.request({ path: '/' }));
  expect(failure.kind).toBe(kind);
  expect(Object.fromEntries(started.client.failures)).toEqual({ [kind]: 1 });
  expect(started.client.completed).toBe(0);
});

test.each([
  ['a body longer than its length', wrongLengthPlan('{"a":1}', 5)],
  ['a second answer', rawPlan(`${ok}content-length: 5\r\n\r\n{"a":${ok}content-length: 0\r\n\r\n`)],
  ['an unfinished second answer', rawPlan(`${ok}content-length: 5\r\n\r\n{"a":HTTP/1.1 200`)],
])('%s: the answer counts, and so does what came after it', async (_name, plan) => {
  const started = await start(plan);
  expect((await started.client.request({ path: '/' })).body.toString()).toBe('{"a":');
  expect(Object.fromEntries(started.client.failures)).toEqual({ 'bad-bytes': 1 });
  expect(started.client).toMatchObject({ completed: 1, idleConnections: 0 });
});

test('what had arrived before a cut is there to be compared', async () => {
  const started = await start(cutStreamPlan('data: 1\n\ndata: 2\n\n', { afterBytes: 12, how: 'fin' }));
  const failure = await failureOf(started.client.request({ path: '/' }));
  expect(failure.partial.status).toBe(200);
  expect(failure.partial.body.toString()).toBe('data: 1\n\ndat');
});

test('an abort leaves the upstream at once', async () => {
  const started = await start(ssePlan(['one'], { ending: [{ op: 'stall' }] }));
  const controller = new AbortController();
  const failure = await failureOf(
    started.client.request({ path: '/', signal: controller.signal, onBody: () => controller.abort() }),
  );
  expect(failure.kind).toBe('aborted');
  expect((await started.upstream.closed(1)).end?.how).toMatch(/^client-/);
});

test('a refused connection is a failure too', async () => {
  client = createWireClient({ port: 1 });
  expect((await failureOf(client.request({ path: '/' }))).kind).toBe('refused');
});
