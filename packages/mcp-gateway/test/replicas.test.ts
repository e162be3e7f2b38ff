import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { freePort } from '@strata/shared/testing/private-server.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sessionKey } from '../src/domain/session-record.ts';
import { sessionTag } from '../src/pipeline/session-directory.ts';
import {
  errorOf,
  eventsOf,
  headersFor,
  initializeBody,
  messagesOf,
  openRawClient,
  type RawClient,
  resultText,
  until,
} from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Two gateways in one process that share a hot store. That one of them dies is for `replica-death.test.ts`. */
let folder: string;
let one: TestGateway;
let two: TestGateway;
let hot: Hot;

const servers = {
  one: { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' },
  own: { type: 'stdio', command: [node, fixture('scripted-server.ts')] },
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-replicas-'));
  hot = createMemoryHot(systemClock);
  const start = async () => {
    const port = await freePort();
    const section = {
      listen: { port, drain_timeout_ms: 1500 },
      replicas: { url: `http://127.0.0.1:${port}` },
      servers,
      streams: { stream_after_ms: 10 },
      sessions: { idle_ms: 3000 },
      list_changed_debounce_ms: 10,
    };
    return startGateway(section, { hot, dataDir: folder });
  };
  one = await start();
  two = await start();
});

afterEach(async () => {
  await Promise.all([one?.close(), two?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const at = (gateway: TestGateway, key: string): TestGateway => ({ ...gateway, userKey: key });
const echo = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"one__pid","arguments":{}}}';

/** The client of a session of the first replica, as it speaks to the second. */
async function openAtBoth() {
  const client = await openRawClient(one);
  const headers = {
    ...headersFor(at(two, one.userKey)),
    'mcp-session-id': client.sessionId,
    'mcp-protocol-version': '2025-11-25',
  };
  const post = (body: string) => fetch(two.url, { method: 'POST', headers, body });
  const get = (more: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(two.url, {
      headers: { ...headers, accept: 'text/event-stream', ...more },
      ...(signal && { signal }),
    });
  const end = () => fetch(two.url, { method: 'DELETE', headers });
  return { client, post, get, end };
}

test('a session may be used at any replica: calls, streams and the end reach its owner', async () => {
  const { client, post, get, end } = await openAtBoth();
  const pid = resultText((await client.call('1', 'own__pid'))[0]);
  const there = await post(
    '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"own__pid","arguments":{}}}',
  );
  const [answer] = await messagesOf(there);
  expect(JSON.parse(answer ?? '').id).toBe('a');
  expect(resultText(answer)).toBe(pid);
  expect((await post('{"jsonrpc":"2.0","method":"notifications/initialized"}')).status).toBe(202);
  expect((await post('{"jsonrpc":"2.0","id":1,"method":"nonsense"}')).status).toBe(200);

  const cut = new AbortController();
  const stream = await get({}, cut.signal);
  await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  await client.call('2', 'own__add-tool', { name: 'later' });
  for await (const { data } of eventsOf(stream)) {
    if (data === '') continue;
    expect(JSON.parse(data).method).toBe('notifications/tools/list_changed');
    break;
  }
  cut.abort();
  expect((await end()).status).toBe(204);
  expect((await client.post(echo)).status).toBe(404);
  expect((await post(echo)).status).toBe(404);
});

test('[resumption][M-4] what was missed is replayed by any replica, and only that', async () => {
  const { client, get } = await openAtBoth();
  const cut = new AbortController();
  const response = await client.post(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__progress","arguments":{"delayMs":30},"_meta":{"progressToken":"t"}}}',
    { signal: cut.signal },
  );
  let last = '';
  for await (const event of eventsOf(response)) {
    last = event.id ?? last;
    if (event.data.includes('"progress":2')) break;
  }
  cut.abort();
  const rest = (await messagesOf(await get({ 'last-event-id': last }))).map(line => JSON.parse(line));
  expect(rest.map(message => message.params?.progress ?? message.id)).toEqual([3, 1]);
});

test('a POST of the first revision reaches its stream from any replica, and nobody else’s', async () => {
  const stop = new AbortController();
  const headers = headersFor(at(two, one.userKey));
  const stream = await fetch(new URL('/sse', one.url), {
    headers: { ...headers, accept: 'text/event-stream' },
    signal: stop.signal,
  });
  const events = eventsOf(stream);
  const path = String((await events.next()).value?.data);
  const post = (gateway: TestGateway, body: string, key = one.userKey) =>
    fetch(new URL(path, gateway.url), { method: 'POST', headers: headersFor(at(gateway, key)), body });
  const answerTo = async (gateway: TestGateway, body: string) => {
    expect((await post(gateway, body)).status).toBe(202);
    return JSON.parse(String((await events.next()).value?.data));
  };
  const hello = await answerTo(two, initializeBody({ version: '2024-11-05' }));
  expect(hello.result.protocolVersion).toBe('2024-11-05');
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"own__pid","arguments":{}}}';
  const there = await answerTo(two, call);
  expect((await answerTo(one, call)).result).toEqual(there.result);
  expect((await post(two, call, await two.createKey('mallory'))).status).toBe(404);
  expect(
    (await fetch(new URL('/messages?session_id=none', two.url), { method: 'POST', headers, body: call }))
      .status,
  ).toBe(404);
  stop.abort();
  await until(async () => (await post(two, call)).status === 404, 'the end of the stream');
});

test('[session][S-2][M-9] a session of another replica is the same 404 to a foreign key as one that never was', async () => {
  const { client } = await openAtBoth();
  const foreign = await two.createKey('mallory');
  const answers = [];
  for (const id of [client.sessionId, 'x'.repeat(32)]) {
    const headers = { ...headersFor(at(two, foreign)), 'mcp-session-id': id };
    const response = await fetch(two.url, { method: 'POST', headers, body: echo });
    const { request_id: _id, ...data } = errorOf(await response.text())?.data ?? {};
    answers.push({ status: response.status, data });
  }
  expect(answers[0]).toMatchObject({ status: 404, data: { reason: 'unknown_session' } });
  expect(answers[1]).toEqual(answers[0]);
});

test('[F67] what a replica leaves behind ends by its idle time, and is kept for as long as it was used', async () => {
  const [used, unused] = await Promise.all([openRawClient(one), openRawClient(one)]);
  const isStored = async ({ sessionId }: RawClient) => {
    const { events } = await hot.readEvents(sessionKey(sessionTag(sessionId), 'record'), 0, 1);
    return events[0]?.event.startsWith('{') ?? false; // else it is gone, or was ended
  };
  const cut = new AbortController();
  const stream = await used.get({ signal: cut.signal });
  await until(async () => !(await isStored(unused)), 'the end of the one that nobody used', 20_000);
  expect(await isStored(used)).toBe(true);
  cut.abort();
  await stream.text().catch(() => ''); // it was cut
  await one.close();
  await until(async () => !(await isStored(used)), 'the end of the other', 20_000);
  const headers = { ...headersFor(at(two, one.userKey)), 'mcp-session-id': used.sessionId };
  expect((await fetch(two.url, { method: 'POST', headers, body: echo })).status).toBe(404);
});

test('[F67] a replica that stops leaves its sessions to the others, with log level and subscriptions', async () => {
  const { client, post, get } = await openAtBoth();
  await client.ask('{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}');
  const before = resultText((await client.call('1', 'own__pid'))[0]);
  await one.close();
  const answer = await messagesOf(
    await post('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"own__pid","arguments":{}}}'),
  );
  expect(resultText(answer[0])).toMatch(/^\d+$/);
  expect(resultText(answer[0])).not.toBe(before);
  const levels = resultText(
    (
      await messagesOf(
        await post(
          '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"own__levels","arguments":{}}}',
        ),
      )
    )[0],
  );
  expect(JSON.parse(levels)).toEqual(['debug']);
  const cut = new AbortController();
  expect((await get({}, cut.signal)).status).toBe(200);
  cut.abort();
});
