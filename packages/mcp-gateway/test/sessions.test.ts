import { afterAll, beforeAll, expect, test } from 'vitest';
import { createModernClient } from './modern-client.ts';
import {
  errorOf,
  eventsOf,
  headersFor,
  initializeBody,
  messagesOf,
  openRawClient,
  resultText,
  until,
} from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({
    servers: {
      one: { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' },
      own: { type: 'stdio', command: [node, fixture('scripted-server.ts')] },
    },
    streams: { stream_after_ms: 10 },
    sessions: { max_per_principal: 50 },
  });
});

afterAll(() => gateway?.close());

const slowCall = (id: string, delayMs: number) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"one__echo","arguments":{"delayMs":${delayMs}}}}`;

/** Reads events until `count` came, then cuts the connection. */
async function readAndCut(response: Response, count: number, cut: AbortController) {
  const events: { id: string | undefined; data: string }[] = [];
  for await (const event of eventsOf(response)) {
    events.push(event);
    if (events.length >= count) break;
  }
  cut.abort();
  return events;
}

test('[cancellation][F59] a call goes on when its client is cut off, and the answer waits for it', async () => {
  const client = await openRawClient(gateway);
  const cut = new AbortController();
  const response = await client.post(slowCall('9007199254740993', 200), { signal: cut.signal });
  const [priming] = await readAndCut(response, 1, cut);
  expect(priming?.data).toBe('');
  const resumed = await client.get({ headers: { 'last-event-id': priming?.id ?? '' } });
  expect(resumed.status).toBe(200);
  const events = [];
  for await (const event of eventsOf(resumed)) events.push(event);
  expect(events).toHaveLength(1);
  expect(events[0]?.data).toContain('"id":9007199254740993,');
  const again = await client.get({ headers: { 'last-event-id': priming?.id ?? '' } });
  const repeated = [];
  for await (const event of eventsOf(again)) repeated.push(event);
  expect(repeated).toEqual(events);
});

test('[resumption][MCP-2][M-4] wherever the stream breaks, the client gets exactly the missed suffix', async () => {
  const client = await openRawClient(gateway);
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__progress","arguments":{"delayMs":30},"_meta":{"progressToken":"t"}}}`;
  for (const after of [1, 2, 3, 4]) {
    const cut = new AbortController();
    const first = await readAndCut(await client.post(body, { signal: cut.signal }), after, cut);
    const resumed = await client.get({ headers: { 'last-event-id': first.at(-1)?.id ?? '' } });
    const rest = [];
    for await (const event of eventsOf(resumed)) rest.push(event);
    const messages = [...first, ...rest]
      .filter(event => event.data !== '')
      .map(event => JSON.parse(event.data));
    expect(messages.map(message => message.params?.progress ?? 'answer')).toEqual([1, 2, 3, 'answer']);
  }
});

test('messages that come while no stream is open wait for the next one', async () => {
  const client = await openRawClient(gateway);
  await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  await client.call('1', 'own__add-tool', { name: 'later' });
  const cut = new AbortController();
  const stream = await client.get({ signal: cut.signal });
  const events = await readAndCut(stream, stream ? 2 : 0, cut);
  expect(events[0]?.data).toBe('');
  expect(JSON.parse(events[1]?.data ?? '')).toEqual({
    jsonrpc: '2.0',
    method: 'notifications/tools/list_changed',
  });
});

test('[second GET][P13] the newest stream wins, the one before ends', async () => {
  const client = await openRawClient(gateway);
  const old = await client.get();
  const cut = new AbortController();
  const young = await client.get({ signal: cut.signal });
  expect(young.status).toBe(200);
  for await (const _event of eventsOf(old)); // ends
  await client.call('1', 'own__add-tool', { name: 'x1' });
  const events = await readAndCut(young, 1, cut);
  expect(events.some(event => event.data.includes('list_changed') || event.data === '')).toBe(true);
});

test('[F61] event ids that are unknown, of the future or of another session are refused', async () => {
  const [client, other] = await Promise.all([openRawClient(gateway), openRawClient(gateway)]);
  const cut = new AbortController();
  await readAndCut(await other.post(slowCall('1', 20), { signal: cut.signal }), 2, cut);
  for (const id of ['x1.0', 'x1.1', 's.99', 'x99.1', 'nonsense', '../x1.0']) {
    const response = await client.get({ headers: { 'last-event-id': id } });
    expect(response.status, id).toBe(400);
    expect(errorOf(await response.text())?.data).toMatchObject({ reason: 'event_id_unknown' });
  }
});

test('[session][P3] a missing session id is 400; an unknown, an ended and a foreign one are the same 404', async () => {
  const client = await openRawClient(gateway);
  const foreign = await openRawClient(gateway, { key: await gateway.createKey('mallory') });
  const ended = await openRawClient(gateway);
  expect((await ended.end()).status).toBe(204);
  const body = '{"jsonrpc":"2.0","id":7,"method":"ping"}';
  const missing = await client.post(body, { headers: { 'mcp-session-id': '' } });
  expect(missing.status).toBe(400);
  expect(errorOf(await missing.text())?.data).toMatchObject({ reason: 'session_id_missing' });
  const answers = [];
  for (const id of [foreign.sessionId, ended.sessionId, 'x'.repeat(32)]) {
    const headers = { 'mcp-session-id': id };
    const response = await client.post(body, { headers });
    const { error, ...rest } = JSON.parse(await response.text());
    const { request_id: _id, ...data } = error.data;
    answers.push({ status: response.status, rest, error: { ...error, data } });
    expect((await client.get({ headers })).status).toBe(404);
  }
  expect(answers[0]).toMatchObject({
    status: 404,
    rest: { id: 7 },
    error: { data: { reason: 'unknown_session' } },
  });
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[2]).toEqual(answers[0]);
  expect((await foreign.post(body)).status).toBe(200);
});

test('the end of a session answers its calls and ends its servers', async () => {
  const client = await openRawClient(gateway);
  const pid = Number(resultText((await client.call('1', 'own__pid'))[0]));
  // The stream begins while the call runs: from then on it is under way.
  const running = await client.post(
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"own__never","arguments":{}}}',
  );
  let ended = client.end();
  expect((await ended).status).toBe(204);
  const [answer] = await messagesOf(running);
  expect(errorOf(answer)?.data).toMatchObject({ reason: 'session_closed' });
  await until(() => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  }, 'the end of the process');
  ended = client.end();
  expect((await ended).status).toBe(404);
});

test('a gateway that drains ends the streams of clients without sessions in order, and waits for none of them', async () => {
  const draining = await startGateway({ listen: { port: 0, drain_timeout_ms: 60_000 } });
  const listening = await createModernClient(draining).listen({});
  const closing = draining.close();
  await until(() => listening.messages.some(({ result }) => result !== undefined), 'the end', 20_000);
  expect(listening.messages.at(-1)?.result).toMatchObject({ resultType: 'complete' });
  await closing;
}, 50_000);

test('a gateway that drains lets calls of the first revision finish: their answers have no other way than its stream', async () => {
  const draining = await startGateway({
    listen: { port: 0, drain_timeout_ms: 60_000 },
    servers: { one: { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' } },
  });
  const headers = headersFor(draining);
  const stream = await fetch(new URL('/sse', draining.url), {
    headers: { ...headers, accept: 'text/event-stream' },
  });
  const events = eventsOf(stream);
  const path = String((await events.next()).value?.data);
  const post = async (body: string) =>
    (await fetch(new URL(path, draining.url), { method: 'POST', headers, body })).status;
  const next = async () => JSON.parse(String((await events.next()).value?.data));
  await post(initializeBody({ version: '2024-11-05' }));
  await next();
  expect(await post(slowCall('1', 3000))).toBe(202);
  const closing = draining.close();
  expect((await next()).result.content).toHaveLength(1);
  expect((await events.next()).done).toBe(true);
  await closing;
}, 50_000);

test('a gateway that drains ends open streams at once, and answers what still runs when its time is over', async () => {
  const draining = await startGateway({
    listen: { port: 0, drain_timeout_ms: 1500 },
    servers: { own: { type: 'stdio', command: [node, fixture('scripted-server.ts')] } },
    streams: { stream_after_ms: 10 },
  });
  const client = await openRawClient(draining);
  const stream = await client.get();
  const running = await client.post(
    '{"jsonrpc":"2.0","id":"last","method":"tools/call","params":{"name":"own__never","arguments":{}}}',
  );
  const closing = draining.close();
  for await (const _event of eventsOf(stream)); // ends
  const [answer] = await messagesOf(running);
  expect(JSON.parse(answer ?? '')).toMatchObject({
    id: 'last',
    error: { data: { reason: 'draining', retryable: true } },
  });
  await closing;
});

test.each(['session', 'shared'])(
  'who ends a session gets the answer to what runs in it, on a stream too (sharing: %s)',
  async sharing => {
    const streaming = await startGateway({
      servers: { one: { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing } },
      streams: { stream_after_ms: 0 },
    });
    for (let round = 0; round < 3; round++) {
      const client = await openRawClient(streaming);
      await client.ask(
        '{"jsonrpc":"2.0","id":"p","method":"tools/call","params":{"name":"one__progress","_meta":{"progressToken":1}}}',
      );
      const running = await client.post(
        '{"jsonrpc":"2.0","id":"last","method":"tools/call","params":{"name":"one__never"}}',
      );
      expect((await client.end()).status).toBe(204);
      const answers = (await messagesOf(running)).map(answer => errorOf(answer)?.data?.reason);
      expect(answers).toEqual(['session_closed']);
    }
    await streaming.close();
  },
);

test('a session that ends while a server is still being started does not wait for it', async () => {
  const slow = await startGateway({
    servers: {
      silent: { type: 'stdio', command: [node, fixture('scripted-server.ts'), 'silent'], stop_grace_ms: 50 },
    },
    list_timeout_ms: 200,
  });
  const client = await openRawClient(slow);
  const running = client.call('1', 'silent__echo');
  await client.ask('{"jsonrpc":"2.0","id":2,"method":"tools/list"}');
  const startedMs = performance.now();
  expect((await client.end()).status).toBe(204);
  expect(performance.now() - startedMs).toBeLessThan(3000);
  expect(errorOf((await running)[0])).toBeDefined();
  await slow.close();
});

test('[P5] a client that never ends its sessions loses its own oldest one, nobody else’s', async () => {
  const greedy = await gateway.createKey('greedy');
  const other = await openRawClient(gateway);
  const clients = [];
  for (let index = 0; index < 51; index++) clients.push(await openRawClient(gateway, { key: greedy }));
  const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  expect((await clients[0]?.post(ping))?.status).toBe(404);
  expect((await clients[1]?.post(ping))?.status).toBe(200);
  expect((await other.post(ping)).status).toBe(200);
});

test('a session that nobody uses ends after the idle time, one with an open stream does not', async () => {
  const short = await startGateway({
    sessions: { pending_ms: 60_000, idle_ms: 3000, absolute_ms: 3_600_000 },
  });
  try {
    const client = await openRawClient(short);
    const cut = new AbortController();
    const streaming = await openRawClient(short);
    // Held until the end: a response that is garbage closes its connection.
    const stream = await streaming.get({ signal: cut.signal });
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    await until(() => short.logs.some(line => line.msg === 'session ends'), 'the end of the session', 60_000);
    expect((await client.post(ping)).status).toBe(404);
    expect((await streaming.post(ping)).status).toBe(200);
    expect([stream.status, stream.bodyUsed]).toEqual([200, false]);
    cut.abort();
  } finally {
    await short.close();
  }
});
