import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeHttpServer, startFakeHttpServer } from './fake-http-server.ts';
import { errorOf, messagesOf, openRawClient, resultText, until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

let fake: FakeHttpServer;
let gateway: TestGateway;

beforeEach(async () => {
  fake = await startFakeHttpServer();
  gateway = await startGateway({
    servers: {
      web: {
        type: 'streamable-http',
        url: fake.url,
        allow_private: true,
        headers: { Authorization: 'Bearer vaulted-credential', 'X-Team': 'blue' },
      },
    },
    list_changed_debounce_ms: 10,
  });
});

afterEach(async () => {
  await gateway.close();
  await fake.close();
});

const calls = () => fake.requests.filter(request => request.body.includes('tools/call'));

test('[headers][M13] a server gets the operator’s credential and nothing of the client’s', async () => {
  const client = await openRawClient(gateway);
  const response = await client.post(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"web__echo"}}',
    { headers: { cookie: 'a=b', 'x-api-key': 'k', 'x-forwarded-for': '1.2.3.4' } },
  );
  await messagesOf(response); // a slow answer is a stream, whose head comes before the call is made
  for (const { headers, body } of fake.requests) {
    expect(headers).toMatchObject({ authorization: 'Bearer vaulted-credential', 'x-team': 'blue' });
    const all = JSON.stringify([headers, body]);
    for (const foreign of [gateway.userKey, client.sessionId, 'a=b', '1.2.3.4'])
      expect(all).not.toContain(foreign);
  }
  expect(calls()[0]?.headers).toMatchObject({ 'mcp-protocol-version': '2025-06-18' });
});

test.each([404, 400] as const)(
  '[up session loss][P2] a server that forgot its session (HTTP %i) is initialised once for all who wait, and the calls are done once',
  async status => {
    const client = await openRawClient(gateway);
    await client.call('0', 'web__echo');
    fake.lostStatus = status;
    fake.forgetSessions();
    const before = fake.initializations;
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => client.call(String(index), 'web__echo', { index })),
    );
    expect(fake.initializations).toBe(before + 1);
    answers.forEach(([answer], index) => {
      expect(JSON.parse(answer ?? '').id).toBe(index);
      expect(JSON.parse(resultText(answer)).arguments).toEqual({ index });
    });
  },
);

test('[up session loss] a session that is lost again at once is an error, not a loop', async () => {
  const client = await openRawClient(gateway);
  await client.call('0', 'web__echo');
  const forget = setInterval(() => fake.forgetSessions(), 0);
  const [answer] = await client.call('1', 'web__echo');
  clearInterval(forget);
  if (errorOf(answer)) expect(errorOf(answer)?.data).toMatchObject({ reason: 'server_session_lost' });
  expect(fake.initializations).toBeLessThan(8);
});

test('an answer whose stream broke off is fetched from where it broke, not asked for again', async () => {
  const client = await openRawClient(gateway);
  fake.cuts = 1;
  const [answer] = await client.call('1', 'web__echo', { once: true });
  expect(JSON.parse(resultText(answer)).arguments).toEqual({ once: true });
  expect(calls()).toHaveLength(1);
});

test('what a server sends by itself reaches the client: a changed list', async () => {
  const client = await openRawClient(gateway);
  await client.call('1', 'web__echo');
  await until(() => fake.requests.some(request => request.method === 'GET'), 'the stream');
  fake.push({ method: 'notifications/message', params: { level: 'info', data: 'by itself' } });
  const cut = new AbortController();
  const stream = await client.get({ signal: cut.signal });
  const reader = stream.body?.getReader();
  let seen = '';
  await until(async () => {
    seen += Buffer.from((await reader?.read())?.value ?? []).toString();
    return seen.includes('by itself');
  }, 'the message');
  cut.abort();
});

test.each(['session', 'shared'])(
  'log lines on the stream of a call belong to that call (sharing: %s)',
  async sharing => {
    const other = await startGateway({
      servers: { web: { type: 'streamable-http', url: fake.url, allow_private: true, sharing } },
    });
    const clients = await Promise.all([openRawClient(other), openRawClient(other), openRawClient(other)]);
    const answers = await Promise.all(
      clients.map((client, index) => client.call('1', 'web__echo', { log: `line of ${index}` })),
    );
    answers.forEach((messages, index) => {
      expect(messages).toHaveLength(2);
      expect(JSON.parse(messages[0] ?? '').params.data).toBe(`line of ${index}`);
    });
    await other.close();
  },
);

test('[errors] refusals and unreachable servers are told apart from errors of tools', async () => {
  const client = await openRawClient(gateway);
  await client.call('0', 'web__echo');
  fake.refuseWith = 401;
  const [unauthorized] = await client.call('1', 'web__echo');
  expect(errorOf(unauthorized)).toMatchObject({
    code: -32603,
    data: { reason: 'server_credentials_refused', server: 'web' },
  });
  fake.refuseWith = 503;
  expect(errorOf((await client.call('2', 'web__echo'))[0])?.data).toMatchObject({
    reason: 'server_refused',
    status: 503,
  });
  await fake.close();
  expect(errorOf((await client.call('3', 'web__echo'))[0])).toMatchObject({
    code: -32603,
    data: { retryable: true },
  });
});

test('[S-3] a server on a private address is not reached unless the configuration says so', async () => {
  const guarded = await startGateway({ servers: { web: { type: 'streamable-http', url: fake.url } } });
  const client = await openRawClient(guarded);
  const [answer] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  expect(JSON.parse(answer ?? '').result._meta['strata/unavailable_servers']).toEqual([
    { server: 'web', reason: 'destination_not_allowed' },
  ]);
  await guarded.close();
});

test('the end of a session ends the server’s session', async () => {
  const client = await openRawClient(gateway);
  await client.call('1', 'web__echo');
  await client.end();
  await until(() => fake.requests.filter(request => request.method === 'DELETE').length >= 2, 'the goodbyes'); // the probe’s and this one
});
