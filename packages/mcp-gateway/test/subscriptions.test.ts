import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createModernClient } from './modern-client.ts';
import { errorOf, openRawClient, type RawClient, until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** A server with sessions whose answers about subscriptions come when they are let go. */
interface Waiting {
  readonly method: string;
  answer(isTold: boolean): void;
}

let server: Server;
let url = '';
let gateway: TestGateway;
const waiting: Waiting[] = [];
let asked: string[] = [];
/** Requests about a resource that its client waits for, and those that came while another was. */
const unanswered = new Map<number, string>();
let overlapping: string[] = [];
/** Each test has its own: what one leaves behind is answered at once. */
let uri = '';
const all = Array.from({ length: 1006 }, (_, index) => `note://${index}`);
const uris = [...all];

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.method !== 'POST') return void response.writeHead(405).end();
      const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as {
        id?: number;
        method: string;
        params?: { uri?: string; requestId?: number };
      };
      if (method === 'notifications/cancelled') unanswered.delete(params?.requestId ?? -1);
      if (id === undefined) return void response.writeHead(202).end();
      const answer = (rest: object) => {
        unanswered.delete(id);
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id, ...rest }));
      };
      const hello = {
        protocolVersion: '2025-06-18',
        capabilities: { resources: { subscribe: true } },
        serverInfo: { name: 'slow', version: '1' },
      };
      if (method === 'initialize') return answer({ result: hello });
      if (method === 'resources/list')
        return answer({ result: { resources: all.map(each => ({ uri: each, name: each })) } });
      if (method.endsWith('subscribe')) {
        const about = params?.uri ?? '';
        if ([...unanswered.values()].includes(about)) overlapping.push(`${method} ${about}`);
        unanswered.set(id, about);
      }
      if (!method.endsWith('subscribe') || params?.uri !== uri) return answer({ result: {} });
      asked.push(method);
      const no = { error: { code: -32002, message: 'no such resource' } };
      waiting.push({ method, answer: isTold => answer(isTold ? { result: {} } : no) });
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  gateway = await startGateway(sectionOf({}));
});

const sectionOf = (more: object) => ({
  servers: {
    shared: { type: 'streamable-http', era: 'legacy', allow_private: true, url, sharing: 'shared', ...more },
  },
});

afterEach(() => expect(overlapping).toEqual([])); // one step after the other, whatever a test is about

beforeEach(() => {
  overlapping = [];
  for (const each of waiting.splice(0)) each.answer(true);
  asked = [];
  uri = uris.shift() ?? '';
});

afterAll(async () => {
  await gateway?.close();
  server?.closeAllConnections();
  await new Promise(resolve => server?.close(resolve));
});

async function openClients(count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => openRawClient(gateway)));
  await Promise.all(clients.map(each => each.ask('{"jsonrpc":"2.0","id":0,"method":"resources/list"}')));
  return clients;
}

const ask = async (client: RawClient | undefined, method: string) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: `resources/${method}`, params: { uri } });
  const [answer] = (await client?.ask(body)) ?? [];
  return answer;
};

/** The next question about a subscription, when it has come. */
async function next(method: string): Promise<Waiting> {
  await until(() => waiting.length > 0, method);
  const [first] = waiting.splice(0, 1);
  if (first === undefined) throw new Error('nothing waits');
  expect(first.method).toBe(`resources/${method}`);
  return first;
}

test('[resources/subscribe ↔ listen] who subscribes while another does is answered when the server is, and by what it says', async () => {
  const [one, two, three] = await openClients(3);
  const answers: string[] = [];
  const note = (who: string, answer: Promise<string | undefined>) =>
    answer.then(text => answers.push(`${who} ${errorOf(text) ? 'refused' : 'told'}`));
  const first = note('one', ask(one, 'subscribe'));
  const asking = await next('subscribe');
  const second = note('two', ask(two, 'subscribe'));
  await one?.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  await two?.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  expect(answers).toEqual([]);
  asking.answer(false);
  await first;
  const again = await next('subscribe'); // for the second, who was not asked about yet
  expect(answers).toEqual(['one refused']);
  const third = note('three', ask(three, 'subscribe'));
  again.answer(true);
  await Promise.all([second, third]);
  expect(answers.slice(1).sort()).toEqual(['three told', 'two told']);
  expect(asked).toHaveLength(2);
});

test('[resources/subscribe ↔ listen] nobody is subscribed before the end of another’s subscription was heard of', async () => {
  const [one, two] = await openClients(2);
  const first = ask(one, 'subscribe');
  (await next('subscribe')).answer(true);
  expect(errorOf(await first)).toBeUndefined();
  const left = ask(one, 'unsubscribe');
  const leaving = await next('unsubscribe');
  const second = ask(two, 'subscribe');
  await two?.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  expect(waiting).toEqual([]);
  leaving.answer(true);
  (await next('subscribe')).answer(true);
  expect([await left, await second].map(answer => errorOf(answer))).toEqual([undefined, undefined]);
});

test('[resources/subscribe ↔ listen] a listener that comes as the last one leaves hears of the resource', async () => {
  const client = createModernClient(gateway);
  const listen = () => client.listen({ resourceSubscriptions: [uri] });
  const first = listen();
  (await next('subscribe')).answer(true);
  (await first).close();
  const leaving = await next('unsubscribe');
  const second = listen();
  await client.ask('1', 'resources/list');
  expect(waiting).toEqual([]);
  leaving.answer(true);
  (await next('subscribe')).answer(true);
  const listening = await second;
  expect(listening.acknowledged).toEqual({ resourceSubscriptions: [uri] });
  listening.close();
  (await next('unsubscribe')).answer(true);
});

test('[resources/subscribe ↔ listen] one who gives up waiting is asked about by nobody', async () => {
  const [one, two] = await openClients(2);
  const first = ask(one, 'subscribe');
  const asking = await next('subscribe');
  const second = ask(two, 'subscribe');
  await two?.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  await two?.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  expect(await second).toBeUndefined();
  asking.answer(false);
  expect(errorOf(await first)).toBeDefined();
  await one?.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  expect(asked).toHaveLength(1);
});

test('[resources/subscribe ↔ listen] a subscription that is given up while it is asked for is taken back', async () => {
  const [one] = await openClients(1);
  const first = ask(one, 'subscribe');
  await next('subscribe');
  await one?.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  expect(await first).toBeUndefined();
  (await next('unsubscribe')).answer(true);
});

test('[resources/subscribe ↔ listen] the wait for others who ask a server that hangs is within the limit', async () => {
  gateway.configure(sectionOf({ timeout_ms: 1000 }));
  const clients = await openClients(10);
  const startedMs = performance.now();
  const answers = await Promise.all(
    clients.map((each, index) => ask(each, index % 3 === 2 ? 'unsubscribe' : 'subscribe')),
  );
  expect(performance.now() - startedMs).toBeLessThan(6000); // it was a second for each
  expect(answers.map(answer => errorOf(answer)?.data?.reason)).toEqual(answers.map(() => 'call_timeout'));
  gateway.configure(sectionOf({}));
});

test('[resources/subscribe ↔ listen] who listens to a server that is replaced listens again, to the one in its place', async () => {
  const client = createModernClient(gateway);
  const listen = () => client.listen({ resourceSubscriptions: [uri] });
  const first = listen();
  (await next('subscribe')).answer(true);
  const { messages } = await first;
  gateway.configure(sectionOf({ timeout_ms: 50_000 }));
  await until(() => messages.some(({ result }) => result !== undefined), 'the end of the stream');
  const second = listen();
  (await next('subscribe')).answer(true);
  const listening = await second;
  expect(listening.acknowledged).toEqual({ resourceSubscriptions: [uri] });
  listening.close();
  (await next('unsubscribe')).answer(true);
  expect(asked).toHaveLength(3); // nobody asks in the name of the one that is gone
});

test('[resources/subscribe ↔ listen] a session or a listener hears of so many resources and no more', async () => {
  uri = ''; // all are answered at once
  const [client] = await openClients(1);
  const say = async (method: string, wanted: string) => {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: `resources/${method}`,
      params: { uri: wanted },
    });
    return errorOf((await client?.ask(body))?.[0])?.data?.reason;
  };
  const said: unknown[] = [];
  for (let at = 0; at < all.length; at += 100)
    said.push(...(await Promise.all(all.slice(at, at + 100).map(each => say('subscribe', each)))));
  expect(said.filter(each => each === 'too_many_subscriptions')).toHaveLength(6);
  expect(said.filter(each => each === undefined)).toHaveLength(1000);
  expect(await say('subscribe', all[0] ?? '')).toBeUndefined(); // it has that
  await say('unsubscribe', all[0] ?? '');
  expect(await say('subscribe', all.at(-1) ?? '')).toBeUndefined();

  const modern = createModernClient(gateway);
  for (const names of [{ resourceSubscriptions: all }, { taskIds: all }]) {
    const refused = await modern.ask('1', 'subscriptions/listen', { notifications: names });
    expect(refused.error).toMatchObject({ code: -32602, data: { reason: 'too_many_subscriptions' } });
  }
});
