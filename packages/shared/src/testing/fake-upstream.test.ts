import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { byPath, firstMatch, inOrder, type PlanSource } from './fake-upstream/plan.ts';
import {
  chunkExtensionPlan,
  compressionBombPlan,
  cutStreamPlan,
  jsonPlan,
  rawPlan,
  slicedStreamPlan,
  ssePlan,
  stackedEncodingsPlan,
  wrongLengthPlan,
} from './fake-upstream/plans.ts';
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from './fake-upstream.ts';
import { createManualClock } from './manual-clock.ts';

const open: FakeUpstream[] = [];
const agent = new Agent({ keepAlive: true });

async function start(
  plan: PlanSource,
  options: Omit<FakeUpstreamOptions, 'plan'> = {},
): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream({ plan, ...options });
  open.push(upstream);
  return upstream;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(upstream => upstream.close()));
  agent.destroy();
});

/** Everything the socket says to one hand-written request, and how it ended. */
async function raw(upstream: FakeUpstream, text = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n') {
  const socket = connect(upstream.port, '127.0.0.1');
  const parts: Buffer[] = [];
  let error: NodeJS.ErrnoException | undefined;
  socket.on('data', bytes => parts.push(bytes));
  socket.on('error', problem => {
    error = problem;
  });
  socket.write(text);
  const closed = new Promise(resolve => socket.once('close', resolve));
  return {
    socket,
    text: () => Buffer.concat(parts).toString('latin1'),
    closed: async () => {
      await closed;
      return { text: Buffer.concat(parts).toString('latin1'), code: error?.code };
    },
  };
}

async function post(upstream: FakeUpstream, path: string, body = ''): Promise<IncomingMessage> {
  const request = httpRequest(`${upstream.url}${path}`, { method: 'POST', agent });
  request.end(body);
  const [response] = await once(request, 'response');
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  return Buffer.concat(parts).toString();
}

test('an answer is metered on both sides, and the connection lives on', async () => {
  const upstream = await start(inOrder(jsonPlan({ n: 1 }), jsonPlan({ n: 2 }, { status: 418 })));
  const first = await post(upstream, '/v1/a?b=c', '{"hello":"wörld"}');
  expect(await textOf(first)).toBe('{"n":1}');
  const second = await post(upstream, '/v1/b');
  expect(second.statusCode).toBe(418);
  expect(await textOf(second)).toBe('{"n":2}');

  const request = await upstream.closed(1);
  expect(request).toMatchObject({
    index: 1,
    method: 'POST',
    path: '/v1/a?b=c',
    bodyBytes: 18,
    bodyBytesSent: 7,
  });
  expect(request.json()).toEqual({ hello: 'wörld' });
  expect(request.sentBody().toString()).toBe('{"n":1}');
  expect(request.wireBytesSent).toBeGreaterThan(7);
  expect(request.end?.how).toBe('completed');
  expect((await upstream.closed(2)).connectionId).toBe(request.connectionId);
  expect(upstream.totalConnections).toBe(1);
});

test('a chunked request is read, and its headers are there as sent', async () => {
  const upstream = await start(jsonPlan({}));
  const client = await raw(
    upstream,
    'POST /x HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nx-twice: 2\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n',
  );
  const request = await upstream.closed(1);
  expect(request.body().toString()).toBe('abcde');
  expect(request.rawHeaders[1]).toEqual(['X-Twice', '1']);
  expect(request.headers['x-twice']).toBe('1, 2');
  client.socket.destroy();
});

test.each([
  ['two lengths', 'POST / HTTP/1.1\r\ncontent-length: 1\r\nContent-Length: 2\r\n\r\nab'],
  [
    'a length beside an encoding',
    'POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a space before the colon', 'GET / HTTP/1.1\r\nhost : x\r\n\r\n'],
  ['another protocol', '\x16\x03\x01\x02\r\n\r\n'],
])('[S7] a client that sends %s is found out', async (_name, text) => {
  const upstream = await start(jsonPlan({}));
  const client = await raw(upstream, text);
  await client.closed();
  expect(upstream.protocolErrors).toHaveLength(1);
  expect(upstream.requests).toHaveLength(0);
});

test('plans are chosen by path, by predicate and by body', async () => {
  const upstream = await start(
    byPath({
      '/a': jsonPlan('a'),
      '/b': firstMatch(
        { when: request => request.json() === 1, use: jsonPlan('one') },
        { when: () => true, use: request => jsonPlan(request.body().toString()) },
      ),
    }),
  );
  expect(await textOf(await post(upstream, '/a?x'))).toBe('"a"');
  expect(await textOf(await post(upstream, '/b', '1'))).toBe('"one"');
  expect(await textOf(await post(upstream, '/b', '2'))).toBe('"2"');
  const missing = await post(upstream, '/c');
  expect(missing.statusCode).toBe(404);
  await textOf(missing);
  upstream.use(jsonPlan('new'));
  expect(await textOf(await post(upstream, '/c'))).toBe('"new"');
});

test('time-based steps follow the clock given, and nothing else', async () => {
  const clock = createManualClock();
  const upstream = await start(
    [
      { op: 'headers', headers: { 'content-type': 'text/event-stream' } },
      { at: 1_000, op: 'event', event: 'one' },
      { op: 'stall', ms: 500 },
      { op: 'event', event: { event: 'x', data: 'two' } },
      { op: 'drip', bytes: 'abc', everyMs: 10 },
    ],
    { clock },
  );
  const response = await post(upstream, '/');
  const [request] = upstream.requests;
  await clock.pendingReached(1);
  expect(request?.bodyBytesSent).toBe(0);
  await clock.advance(999);
  expect(request?.eventsSent).toBe(0);
  await clock.advance(1);
  await request?.until(({ eventsSent }) => eventsSent === 1);
  await clock.pendingReached(1);
  await clock.advance(500);
  await request?.until(({ eventsSent }) => eventsSent === 2);
  for (const sent of [1, 2]) {
    await clock.pendingReached(1);
    expect(request?.sentBody().toString().endsWith('abc'.slice(0, sent))).toBe(true);
    await clock.advance(10);
  }
  expect(await textOf(response)).toBe('data: one\n\nevent: x\ndata: two\n\nabc');
  expect((await upstream.closed(1)).end?.atMs).toBe(clock.monotonic());
});

test('[AI-4][F43] a client that leaves is seen, and when', async () => {
  const clock = createManualClock();
  const upstream = await start(ssePlan(['one', 'two'], { everyMs: 1_000, ending: [{ op: 'stall' }] }), {
    clock,
  });
  const client = await raw(upstream);
  await clock.pendingReached(1);
  client.socket.end();
  const request = await upstream.closed(1);
  expect(request.end).toEqual({ how: 'client-fin', atMs: clock.monotonic() });
  expect(request.eventsSent).toBe(1);
  expect(clock.pending).toBe(0);
  await upstream.allConnectionsClosed();
});

test('[F43] a client that resets, even in the middle of its request, is seen', async () => {
  const upstream = await start(jsonPlan({}));
  const client = await raw(upstream, 'POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc');
  const request = await upstream.requestStarted(1);
  await request.until(({ bodyBytes }) => bodyBytes === 3);
  client.socket.resetAndDestroy();
  const closed = await upstream.closed(1);
  expect(closed.end?.how).toBe('client-reset');
  expect(closed.receivedAtMs).toBeUndefined();
});

test.each([
  ['rst', 'ECONNRESET'],
  ['fin', undefined],
] as const)('[F26][F27] %s after any number of bytes', async (how, code) => {
  const body = 'data: 1\n\ndata: 2\n\n';
  const upstream = await start(
    inOrder(
      cutStreamPlan(body, { afterBytes: 0, how }),
      ...Array.from({ length: body.length }, (_, index) =>
        cutStreamPlan(body, { afterBytes: index + 1, how }),
      ),
    ),
  );
  for (let bytes = 0; bytes <= body.length; bytes++) {
    const client = await raw(upstream);
    expect((await client.closed()).code).toBe(code);
    const request = await upstream.closed(bytes + 1);
    expect(request.end?.how).toBe(how);
    expect(request.sentBody().toString()).toBe(body.slice(0, bytes));
  }
});

test('[F25] RST before the head, and RST at accept', async () => {
  const upstream = await start([{ op: 'rst' }], {
    onConnection: id => (id === 2 ? [{ op: 'rst' }] : undefined),
  });
  const first = await raw(upstream);
  expect(await first.closed()).toEqual({ text: '', code: 'ECONNRESET' });
  const second = await raw(upstream);
  expect((await second.closed()).code).toMatch(/ECONNRESET|EPIPE/);
});

test('[F39] a head that never comes', async () => {
  const upstream = await start([{ op: 'stall' }]);
  const client = await raw(upstream);
  const request = await upstream.requestReceived(1);
  expect(request.wireBytesSent).toBe(0);
  expect(request.firstByteAtMs).toBeUndefined();
  client.socket.destroy();
  expect((await upstream.closed(1)).end?.how).toBe('client-fin');
});

test('[F28] one byte a segment', async () => {
  const body = 'data: ż🐢\n\n';
  const upstream = await start(slicedStreamPlan(body));
  const response = await post(upstream, '/');
  expect(await textOf(response)).toBe(body);
  const bytes = Buffer.byteLength(body);
  const request = await upstream.closed(1);
  expect(request.bodyBytesSent).toBe(bytes);
  expect(request.wireBytesSent).toBeGreaterThan(bytes * 6);
});

test('[F31][F44] an endless line stops where the reader stops, and the meter knows how far it came', async () => {
  const upstream = await start([{ op: 'repeat', bytes: Buffer.alloc(256 * 1024, 0x61) }]);
  const client = await raw(upstream);
  client.socket.pause();
  const request = await upstream.requestReceived(1);
  await request.until(({ bodyBytesSent }) => bodyBytesSent >= 256 * 1024);
  client.socket.destroy();
  const closed = await upstream.closed(1);
  expect(closed.bodyBytesSent).toBeLessThan(64 * 1024 * 1024);
  expect(closed.bodyBytesSent % (256 * 1024)).toBe(0);
});

test('a test decides when a plan goes on', async () => {
  const gate = Promise.withResolvers<void>();
  const upstream = await start([
    { op: 'write', bytes: 'before ' },
    { op: 'waitFor', until: gate.promise },
    { op: 'write', bytes: 'after' },
  ]);
  const response = await post(upstream, '/');
  const [request] = upstream.requests;
  await request?.until(({ bodyBytesSent }) => bodyBytesSent === 7);
  gate.resolve();
  expect(await textOf(response)).toBe('before after');
});

test('an answer can begin before the request is over', async () => {
  const upstream = await start(
    [
      { op: 'status', status: 413 },
      { op: 'headers', headers: { connection: 'close' } },
    ],
    {
      answerOn: 'head',
    },
  );
  const client = await raw(upstream, 'POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\nabc');
  expect((await client.closed()).text).toMatch(/^HTTP\/1\.1 413/);
});

test('[F34] wrong lengths, chunk extensions, trailers and garbage go out as written', async () => {
  const upstream = await start(
    inOrder(wrongLengthPlan('{}', 50), chunkExtensionPlan(['ab', 'cde']), rawPlan('\0\xffSSH-2.0-x\r\n'), [
      { op: 'write', bytes: 'x' },
      { op: 'end', trailers: { 'x-trailer': '1' } },
    ]),
  );
  expect((await (await raw(upstream)).closed()).text).toMatch(/content-length: 50\r\n\r\n\{\}$/);
  expect((await (await raw(upstream)).closed()).text).toMatch(
    /2;ieof;x="y"\r\nab\r\n3;ieof;x="y"\r\ncde\r\n0;ieof;x="y"\r\nx-trailer: 1\r\n\r\n$/,
  );
  expect((await (await raw(upstream)).closed()).text).toContain('SSH-2.0-x');
  const response = await post(upstream, '/');
  await textOf(response);
  expect(response.trailers).toEqual({ 'x-trailer': '1' });
});

test('[F32][F33] bombs and stacked encodings', async () => {
  const upstream = await start(
    inOrder(compressionBombPlan(10_000_000), compressionBombPlan(10_000_000, 'br'), stackedEncodingsPlan(50)),
  );
  for (const encoding of ['gzip', 'br']) {
    const response = await post(upstream, '/');
    expect(response.headers['content-encoding']).toBe(encoding);
    expect(Buffer.byteLength(await textOf(response))).toBeLessThan(30_000);
  }
  const stacked = await post(upstream, '/');
  expect(stacked.rawHeaders.filter(header => header === 'content-encoding')).toHaveLength(50);
  await textOf(stacked);
});

test('requests on one connection are answered one after another, in order', async () => {
  const upstream = await start(request => jsonPlan(request.path));
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  const client = await raw(upstream, get('/1') + get('/2') + get('/3'));
  await upstream.closed(3);
  client.socket.end();
  expect((await client.closed()).text.match(/"\/\d"/g)).toEqual(['"/1"', '"/2"', '"/3"']);
});

test('close ends every socket and every wait', async () => {
  const upstream = await startFakeUpstream({ plan: [{ op: 'stall' }] });
  const clients = await Promise.all([raw(upstream), raw(upstream), raw(upstream, 'GET /half')]);
  await upstream.requestReceived(2);
  const waiting = expect(upstream.requestReceived(3)).rejects.toThrow('request 3');
  await upstream.close();
  await waiting;
  await Promise.all(clients.map(client => client.closed()));
  expect(upstream.openConnections).toBe(0);
  expect(upstream.requests.map(request => request.end?.how)).toEqual(['upstream-closed', 'upstream-closed']);
  await expect(upstream.closed(9)).rejects.toThrow('the end of request 9');
});

test('a plan that fails fails its test', async () => {
  const upstream = await startFakeUpstream({
    plan: () => {
      throw new Error('mistake in the test');
    },
  });
  const client = await raw(upstream);
  await client.closed();
  await expect(upstream.close()).rejects.toThrow('A plan of the fake upstream failed');
});
