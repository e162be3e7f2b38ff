import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ExtensionsServer, startExtensionsServer } from './fixtures/extensions-server.ts';
import { createModernClient } from './modern-client.ts';
import { errorOf, openRawClient, type RawClient, until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** Servers whose configuration changes, or that are taken out of it, while clients wait for their news. */
let modern: ExtensionsServer;
let legacy: ExtensionsServer;
let gateway: TestGateway;

const sectionOf = (server: ExtensionsServer, more: object = {}, names = ['m']) => {
  const settings = { type: 'streamable-http', url: server.url, allow_private: true, ...more };
  return { servers: Object.fromEntries(names.map(name => [name, settings])) };
};

beforeEach(async () => {
  modern = await startExtensionsServer('modern', 'm');
  legacy = await startExtensionsServer('legacy', 'l');
  gateway = await startGateway(sectionOf(modern));
});

afterEach(async () => {
  await gateway?.close();
  await Promise.all([modern?.close(), legacy?.close()]);
});

const isEnd = ({ result }: { result?: unknown }) => result !== undefined;
const isTask = ({ method }: { method?: string }) => method === 'notifications/tasks';
const tasks = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

test('[tasks] who listens to tasks of a server that is replaced listens again, to the one in its place', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const { taskId } = (await client.call('m__slow')).result;
  const listen = () => client.listen({ taskIds: [taskId] });
  const first = await Promise.all([listen(), listen()]);
  gateway.configure(sectionOf(modern, { timeout_ms: 50_000 }));
  await until(() => first.every(each => each.messages.some(isEnd)), 'the end of the streams');
  const [one, other] = await Promise.all([listen(), listen()]);
  expect([one?.acknowledged, other?.acknowledged]).toEqual([{ taskIds: [taskId] }, { taskIds: [taskId] }]);
  other?.close();
  modern.tellTask('working');
  await one?.next('notifications/tasks');
  expect(first.flatMap(each => each.messages).filter(isTask)).toEqual([]);
  one?.close();
});

test('[M-6] a server that was removed is not asked about its tasks again', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const { taskId } = (await client.call('m__slow')).result;
  const listening = await client.listen({ taskIds: [taskId] });
  gateway.configure({ servers: {} });
  const asked = () => modern.requests.filter(({ method }) => method === 'subscriptions/listen').length;
  const before = asked();
  await until(() => listening.messages.some(isEnd), 'the end of the stream');
  listening.close();
  await client.ask('2', 'tools/list');
  expect(asked()).toBe(before);
});

const subscribed = () => legacy.requests.filter(({ method }) => method === 'resources/subscribe').length;
const subscribe = async (client: RawClient, uri: string) => {
  const message = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri } };
  expect(errorOf((await client.ask(JSON.stringify(message)))[0])).toBeUndefined();
};

test.each(['session', 'shared'])(
  '[resources/subscribe ↔ listen] a session hears of what it subscribed to from the server in place of the one (%s) that did tell it',
  async sharing => {
    gateway.configure(sectionOf(legacy, { sharing }));
    const client = await openRawClient(gateway);
    await subscribe(client, 'm+doc://shared');
    for (const timeout_ms of [50_000, 40_000]) {
      const before = subscribed();
      gateway.configure(sectionOf(legacy, { sharing, timeout_ms }));
      await until(() => subscribed() === before + 1, 'another subscription');
    }
    const uris = legacy.requests.filter(({ method }) => method === 'resources/subscribe');
    expect(uris.map(({ params }) => params.uri)).toEqual(uris.map(() => 'doc://shared'));
  },
);

test('[resources/subscribe ↔ listen] what the server in place of another refuses is subscribed to no more', async () => {
  const other = await startExtensionsServer('legacy', 'o');
  const sharing = 'shared';
  gateway.configure({
    servers: {
      ...sectionOf(legacy, { sharing }).servers,
      ...sectionOf(other, { sharing }, ['o']).servers,
    },
  });
  const client = await openRawClient(gateway);
  await subscribe(client, 'm+doc://shared');
  await subscribe(client, 'o+doc://shared');
  const changed = (timeout_ms: number) => ({
    servers: {
      ...sectionOf(legacy, { sharing, timeout_ms }).servers,
      ...sectionOf(other, { sharing, timeout_ms }, ['o']).servers,
    },
  });
  legacy.tellsNews = false;
  gateway.configure(changed(50_000));
  await until(() => subscribed() === 2, 'another subscription');
  // Of the same resource the server is asked in turn: what it said before has been heard once it answers this.
  const message = { jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params: { uri: 'm+doc://shared' } };
  const afterwards = await openRawClient(gateway);
  expect(errorOf((await afterwards.ask(JSON.stringify(message)))[0])).toMatchObject({ code: -32603 });
  expect(subscribed()).toBe(3);
  legacy.tellsNews = true;
  gateway.configure(changed(40_000));
  const ofOther = () => other.requests.filter(({ method }) => method === 'resources/subscribe').length;
  await until(() => ofOther() === 3, 'the subscription that was not refused');
  await client.ask('{"jsonrpc":"2.0","id":3,"method":"resources/list"}');
  expect(subscribed()).toBe(3);
  await other.close();
});

test('[S-2] a session whose reader may not hear of a server is not subscribed to the one in its place', async () => {
  const both = (more: object) => sectionOf(legacy, more, ['m', 'n']);
  gateway.configure(both({}));
  const client = await openRawClient(gateway, { key: await gateway.createKey('alice') });
  await subscribe(client, 'm+doc://shared');
  await subscribe(client, 'n+doc://shared');
  const reader = await gateway.createKey('alice', ['*'], ['m']);
  const stream = await client.get({ headers: { authorization: `Bearer ${reader}` } });
  expect(stream.status).toBe(200);
  gateway.configure(both({ timeout_ms: 50_000 }));
  await until(() => subscribed() === 3, 'another subscription');
  await client.ask('{"jsonrpc":"2.0","id":2,"method":"resources/list"}');
  expect(subscribed()).toBe(3);
  await stream.body?.cancel();
});
