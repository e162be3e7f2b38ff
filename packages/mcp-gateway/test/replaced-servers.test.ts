import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ExtensionsServer, startExtensionsServer } from './fixtures/extensions-server.ts';
import { createModernClient } from './modern-client.ts';
import { until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** Servers whose configuration changes, or that are taken out of it, while clients wait for their news. */
let modern: ExtensionsServer;
let gateway: TestGateway;

const sectionOf = (server: ExtensionsServer, more: object = {}) => ({
  servers: { m: { type: 'streamable-http', url: server.url, allow_private: true, ...more } },
});

beforeEach(async () => {
  modern = await startExtensionsServer('modern', 'm');
  gateway = await startGateway(sectionOf(modern));
});

afterEach(async () => {
  await gateway?.close();
  await modern?.close();
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
