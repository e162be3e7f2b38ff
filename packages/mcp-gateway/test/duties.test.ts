import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type FakeHttpServer, startFakeHttpServer } from './fake-http-server.ts';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient } from './modern-client.ts';
import {
  errorOf,
  eventsOf,
  headersFor,
  initializeBody,
  openRawClient,
  resultText,
  until,
} from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Duties of a proxy (docs/mcp-duties.md) that no test of a whole feature shows. */
let legacy: EverythingServer;
let modern: EverythingServer;
let fake: FakeHttpServer;
let gateway: TestGateway;

const http = (url: string, more: object = {}) => ({
  type: 'streamable-http',
  url,
  allow_private: true,
  ...more,
});

beforeAll(async () => {
  legacy = await startEverythingServer('legacy');
  modern = await startEverythingServer('modern');
  fake = await startFakeHttpServer();
  gateway = await startGateway({
    servers: {
      old: http(legacy.url),
      new: http(modern.url),
      web: http(fake.url),
      pipe: { type: 'stdio', command: [node, fixture('scripted-server.ts')] },
    },
  });
});

afterAll(async () => {
  await gateway?.close();
  await Promise.all([legacy?.close(), modern?.close(), fake?.close()]);
});

const version = 'io.modelcontextprotocol/protocolVersion';
const list = (meta: object) =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } });
const current = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' };
const complete = { [version]: '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };

test.each([
  ['a current version header and body', current, list(complete), 200, undefined],
  ['a current version header only', current, list({}), 400, -32602],
  ['a current version in the body only', {}, list(complete), 400, -32020],
  ['a method header without a version', { 'mcp-method': 'tools/list' }, list({}), 400, -32020],
  ['a version nobody knows', { ...current, 'mcp-protocol-version': '2030-01-01' }, list({}), 400, -32022],
  ['no sign of the new era, and no session', {}, list({}), 400, -32600],
  [
    '`initialize`, whatever its header says',
    { 'mcp-protocol-version': '2030-01-01' },
    initializeBody(),
    200,
    undefined,
  ],
  ['a session id that is not known', { 'mcp-session-id': 'x'.repeat(32) }, list({}), 404, -32000],
] as const)('[era detection (down)] %s', async (_name, headers, body, status, code) => {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: { ...headersFor(gateway), ...headers },
    body,
  });
  const text = await response.text();
  expect({ status: response.status, code: errorOf(text)?.code }).toEqual({ status, code });
  if (code === -32022) {
    expect(errorOf(text)?.data).toMatchObject({ supported: expect.arrayContaining(['2026-07-28']) });
  }
});

test.each(['GET', 'DELETE'])('[era detection (down)] %s belongs to the era with sessions', async method => {
  const response = await fetch(gateway.url, { method, headers: headersFor(gateway) });
  expect(response.status).toBe(400);
  expect(errorOf(await response.text())?.data).toMatchObject({ reason: 'session_id_missing' });
});

test('[era detection (up)] a pinned era is not asked for, and one that the server has not is an error', async () => {
  const pinned = await startGateway({
    servers: { old: http(legacy.url, { era: 'legacy' }), not: http(legacy.url, { era: 'modern' }) },
  });
  const before = legacy.requests.length;
  const client = await openRawClient(pinned);
  expect(resultText((await client.call('1', 'old__test_simple_text')).at(-1))).toContain('simple');
  const [answer] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  expect(JSON.parse(answer ?? '').result._meta['strata/unavailable_servers']).toEqual([
    { server: 'not', reason: 'server_handshake_failed' },
  ]);
  expect(legacy.requests.slice(before).filter(method => method === 'initialize')).not.toHaveLength(0);
  await pinned.close();
});

test('[version negotiation] each hop speaks what both of its ends can', async () => {
  for (const asked of ['2024-11-05', '2025-03-26', '2025-11-25']) {
    const before = fake.requests.length;
    const client = await openRawClient(gateway, { version: asked });
    await client.call('1', 'web__echo');
    const sent = fake.requests.slice(before);
    const hello = sent.find(({ body }) => body.includes('"initialize"'));
    expect(JSON.parse(hello?.body ?? '{}').params.protocolVersion).toBe(asked);
    // The server settled for another one; that is between it and the gateway.
    const call = sent.find(({ body }) => body.includes('tools/call'));
    expect(call?.headers['mcp-protocol-version']).toBe('2025-06-18');
    await client.end();
  }
  const { result } = await createModernClient(gateway).call('web__echo');
  expect(result.content).toHaveLength(1);
  const discovered = await createModernClient(gateway).ask('1', 'server/discover');
  expect(discovered.result.supportedVersions).toContain('2026-07-28'); // though two of the servers have only sessions
});

test('[progressToken] progress that comes after the answer is dropped, and a token is never the client’s on the way up', async () => {
  const client = await openRawClient(gateway);
  const lines = [
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$id,"progress":1}}',
    '{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"done"}]}}',
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$id,"progress":2}}',
  ];
  const params = { name: 'pipe__raw', arguments: { lines }, _meta: { progressToken: 'mine' } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  const heard = (await client.ask(body)).map(message => JSON.parse(message));
  expect(heard.map(({ params: given, id }) => given?.progress ?? id)).toEqual([1, 1]);
  expect(heard[0].params.progressToken).toBe('mine');
  const echoed = resultText(
    (await client.ask(body.replace('pipe__raw', 'pipe__echo'))).find(message => message.includes('"result"')),
  );
  expect(JSON.parse(echoed).params._meta.progressToken).toBe(JSON.parse(echoed).id);
});

test('[logging] each session has its own level at a server of its own', async () => {
  const levels = ['debug', 'emergency'];
  const clients = await Promise.all(levels.map(() => openRawClient(gateway)));
  for (const [index, client] of clients.entries()) {
    await client.ask(
      `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"${levels[index]}"}}`,
    );
    expect(JSON.parse(resultText((await client.call('1', 'pipe__levels'))[0]))).toEqual([levels[index]]);
  }
  const heard = await Promise.all(clients.map(client => client.call('2', 'new__test_logging_tool')));
  expect(heard.map(messages => messages.length)).toEqual([4, 1]);
  const wrong = await clients[0]?.ask(
    '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}',
  );
  expect(errorOf(wrong?.[0])?.code).toBe(-32602);
});

test('[completions] what is known already goes along, to the server that offers it, in both eras', async () => {
  const context = { arguments: { country: 'Malta' } };
  const argument = { name: 'arg1', value: 'p' };
  for (const server of ['old', 'new']) {
    const ref = { type: 'ref/prompt', name: `${server}__test_prompt_with_arguments` };
    const params = { ref, argument, context };
    const asked = await createModernClient(gateway).ask('1', 'completion/complete', params);
    expect(asked.result).toMatchObject({ completion: { values: ['Malta'] } });
    const template = { type: 'ref/resource', uri: `${server}+test://template/{id}/data` };
    const client = await openRawClient(gateway);
    const body = {
      jsonrpc: '2.0',
      id: 1,
      method: 'completion/complete',
      params: { ...params, ref: template },
    };
    const [answer] = await client.ask(JSON.stringify(body));
    expect(JSON.parse(answer ?? '').result).toMatchObject({ completion: { values: ['Malta'] } });
  }
});

test('[up session loss] log level and subscriptions are as they were in the session that follows', async () => {
  const client = await openRawClient(gateway);
  const uri = 'old+test://watched-resource';
  const ask = (method: string, params: object) =>
    client.ask(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
  await ask('resources/subscribe', { uri });
  await ask('logging/setLevel', { level: 'error' });
  legacy.forgetSessions();
  const before = legacy.requests.length;
  expect(resultText((await client.call('1', 'old__test_simple_text')).at(-1))).toContain('simple');
  const since = () => legacy.requests.slice(before);
  await until(() => since().includes('logging/setLevel'), 'the log level');
  await until(() => since().includes('resources/subscribe'), 'the subscription');
  expect(since().filter(method => method === 'initialize')).toHaveLength(1);
  const stop = new AbortController();
  const heard: string[] = [];
  const reading = (async () => {
    for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) heard.push(data);
  })();
  reading.catch(() => {}); // ends with the test
  await until(() => {
    legacy.shared.resourceUpdated('test://watched-resource');
    return heard.some(data => data.includes('resources/updated'));
  }, 'the update');
  expect(JSON.parse(heard.find(data => data.includes('updated')) ?? '{}').params.uri).toBe(uri);
  stop.abort();
});

test('[ping] is answered on each hop by whoever is there', async () => {
  const client = await openRawClient(gateway);
  const before = [...legacy.requests, ...modern.requests].filter(method => method === 'ping').length;
  const [answer] = await client.ask('{"jsonrpc":"2.0","id":"p","method":"ping"}');
  expect(JSON.parse(answer ?? '')).toEqual({ jsonrpc: '2.0', id: 'p', result: {} });
  expect([...legacy.requests, ...modern.requests].filter(method => method === 'ping')).toHaveLength(before);
  const asked = await client.call('1', 'pipe__ask', { method: 'ping', id: 'server-ping' });
  expect(asked).toHaveLength(1); // the client heard nothing of it
  expect(JSON.parse(resultText(asked[0]))).toEqual({ jsonrpc: '2.0', id: 'server-ping', result: {} });
});

test('[keep-alive] a quiet stream carries comments, is not buffered on its way, and no progress is made up', async () => {
  const client = await openRawClient(gateway);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const stop = new AbortController();
  try {
    const stream = await client.get({ signal: stop.signal });
    expect(stream.headers.get('x-accel-buffering')).toBe('no');
    const reader = stream.body?.getReader();
    let seen = '';
    const reading = (async () => {
      while (!seen.includes('keep-alive\n\n')) {
        seen += Buffer.from((await reader?.read())?.value ?? []).toString();
      }
    })();
    vi.advanceTimersByTime(15_000);
    await reading;
    expect(seen).toContain(': keep-alive\n\n');
    expect(seen).not.toMatch(/^data: \{/m);
  } finally {
    vi.useRealTimers();
    stop.abort();
  }
});

test('[security headers] a server is called by its own name, so that its own guard against rebinding works', async () => {
  const client = await openRawClient(gateway);
  await client.post(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"web__echo","arguments":{}}}',
    { headers: { origin: 'http://127.0.0.1:1' } },
  );
  const sent = fake.requests.at(-1)?.headers;
  expect(sent?.host).toBe(new URL(fake.url).host);
  expect(sent?.origin).toBeUndefined();
});
