import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ExtensionsServer, startExtensionsServer } from './fixtures/extensions-server.ts';
import { createModernClient, textOf } from './modern-client.ts';
import {
  errorOf,
  eventsOf,
  messagesOf,
  openRawClient,
  type RawClient,
  resultText,
  until,
} from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** Tasks, pages to open, pages of apps, and resources in questions: two servers of each era that use the same ids and URIs. */
let servers: Record<'a' | 'b' | 'm' | 'n', ExtensionsServer>;
let gateway: TestGateway;

beforeEach(async () => {
  const [a, b, m, n] = await Promise.all([
    startExtensionsServer('legacy', 'a'),
    startExtensionsServer('legacy', 'b'),
    startExtensionsServer('modern', 'm'),
    startExtensionsServer('modern', 'n'),
  ]);
  servers = { a, b, m, n };
  const http = ({ url }: ExtensionsServer) => ({ type: 'streamable-http', url, allow_private: true });
  gateway = await startGateway({ servers: { a: http(a), b: http(b), m: http(m), n: http(n) } });
});

afterEach(async () => {
  await gateway?.close();
  await Promise.all(Object.values(servers ?? {}).map(server => server.close()));
});

const tasks = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
const pages = { elicitation: { form: {}, url: {} } };
const relatedTask = 'io.modelcontextprotocol/related-task';

/** The last message of an answer, with all that came before it. */
async function ask(client: RawClient, method: string, params: object) {
  const messages = await client.ask(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
  const parsed = messages.map(message => JSON.parse(message));
  return { ...parsed.at(-1), before: parsed.slice(0, -1) };
}

test('[tasks] of sessions: ids of two servers do not meet, lead back, and are nobody else’s', async () => {
  const client = await openRawClient(gateway);
  const ids: Record<string, string> = {};
  for (const server of ['a', 'b']) {
    const made = await ask(client, 'tools/call', {
      name: `${server}__slow`,
      arguments: {},
      task: { ttl: 1000 },
    });
    ids[server] = made.result.task.taskId;
    expect(made.before[0]).toMatchObject({
      method: 'notifications/tasks/status',
      params: { taskId: ids[server] },
    });
  }
  expect(ids.a).not.toBe(ids.b);
  await ask(client, 'tasks/cancel', { taskId: ids.a });
  expect((await ask(client, 'tasks/get', { taskId: ids.a })).result).toMatchObject({
    taskId: ids.a,
    status: 'cancelled',
  });
  expect((await ask(client, 'tasks/get', { taskId: ids.b })).result).toMatchObject({
    taskId: ids.b,
    status: 'working',
  });
  const listed = (await ask(client, 'tasks/list', {})).result.tasks as { taskId: string }[];
  expect(listed.map(({ taskId }) => taskId).sort()).toEqual([ids.a, ids.b].sort());
  const { result } = await ask(client, 'tasks/result', { taskId: ids.b });
  expect(result.content[0].text).toBe('b');
  expect(result._meta[relatedTask].taskId).toBe(ids.b);
  expect(servers.b.requests.find(({ method }) => method === 'tasks/result')?.params.taskId).toBe('t1');

  const mallory = await openRawClient(gateway, { key: await gateway.createKey('mallory') });
  for (const taskId of [ids.a, 't1', 'a.x.t1', 7]) {
    const refused = await ask(mallory, 'tasks/get', { taskId });
    expect(refused.error).toMatchObject({ code: -32602, data: { reason: 'unknown_task' } });
  }
  expect(servers.a.requests.filter(({ method }) => method === 'tasks/get')).toHaveLength(1);
});

test('[S-2] [tasks] of a server of which a key may use nothing are none for it, whoever’s session it is', async () => {
  const client = await openRawClient(gateway);
  const ids: string[] = [];
  for (const server of ['a', 'b']) {
    const params = { name: `${server}__slow`, arguments: {}, task: { ttl: 1000 } };
    ids.push((await ask(client, 'tools/call', params)).result.task.taskId);
  }
  for (const [tools, names] of [
    [['b__*'], ['*']],
    [['*'], ['b']],
  ] as const) {
    const authorization = `Bearer ${await gateway.createKey('tester', tools, names)}`;
    const narrow = async (method: string, params: object) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      return JSON.parse(
        (await messagesOf(await client.post(body, { headers: { authorization } }))).at(-1) ?? '',
      );
    };
    const { tasks } = (await narrow('tasks/list', {})).result;
    expect(tasks.map(({ taskId }: { taskId: string }) => taskId)).toEqual([ids[1]]);
    const refused = await narrow('tasks/get', { taskId: ids[0] });
    expect(refused.error).toMatchObject({ code: -32602, data: { reason: 'unknown_task' } });
    expect((await narrow('tasks/get', { taskId: ids[1] })).result).toMatchObject({ taskId: ids[1] });
  }
});

test('[tasks] of the extension: the same, with the outcome inline, and its resources under the names the client knows', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const { result: discovered } = await client.ask('1', 'server/discover');
  expect(discovered.capabilities).toMatchObject({ extensions: tasks.extensions });
  const ids: Record<string, unknown> = {};
  for (const server of ['m', 'n']) {
    const { result } = await client.call(`${server}__slow`);
    expect(result).toMatchObject({ resultType: 'task', status: 'working' });
    ids[server] = result.taskId;
  }
  const at = (server: string) => ({ headers: { 'mcp-name': String(ids[server]) } });
  const got = await client.ask('2', 'tasks/get', { taskId: ids.n }, at('n'));
  expect(got.result).toMatchObject({ taskId: ids.n, status: 'completed' });
  const { content } = got.result.result as { content: { text?: string; uri?: string }[] };
  expect(content[0]?.text).toBe('n');
  const { result: read } = await client.ask('3', 'resources/read', { uri: content[1]?.uri });
  expect((read.contents as { text: string }[])[0]?.text).toBe('n');
  await client.ask('4', 'tasks/update', { taskId: ids.n, inputResponses: { q: { ok: true } } }, at('n'));
  expect(servers.n.answers).toEqual([{ q: { ok: true } }]);
  expect((await client.ask('5', 'tasks/cancel', { taskId: ids.m }, at('m'))).error).toBeUndefined();
  const sent = servers.m.requests.find(({ method }) => method === 'tasks/cancel');
  expect([sent?.params.taskId, sent?.headers['mcp-name']]).toEqual(['t1', 't1']);
  const other = createModernClient(gateway, { capabilities: tasks, key: await gateway.createKey('mallory') });
  expect((await other.ask('6', 'tasks/get', { taskId: ids.n }, at('n'))).error).toMatchObject({
    code: -32602,
  });
});

test('[tasks] how they go on is told to those who listen, under their own names, and to nobody else', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const ids = await Promise.all(
    ['m', 'n'].map(async each => (await client.call(`${each}__slow`)).result.taskId),
  );
  const listening = await client.listen({ taskIds: [...ids, 't1', 'm.x.t1', 7] });
  expect(listening.acknowledged).toEqual({ taskIds: ids });
  const mallory = createModernClient(gateway, {
    capabilities: tasks,
    key: await gateway.createKey('mallory'),
  });
  const stranger = await mallory.listen({ taskIds: ids });
  expect(stranger.acknowledged).toEqual({ taskIds: [] });
  const plain = await createModernClient(gateway).listen({ taskIds: ids });
  expect(plain.acknowledged).toEqual({ taskIds: [] }); // it did not say that it knows tasks

  servers.m.tellTask('working');
  const [, n] = ids;
  servers.n.tellTask('completed');
  await listening.next('notifications/tasks');
  await until(() => listening.messages.filter(isTask).length === 2, 'both servers’ news');
  const told = listening.messages.filter(isTask).map(({ params }) => params);
  expect(told.map(each => [each?.taskId, each?.status])).toEqual(
    expect.arrayContaining([
      [ids[0], 'working'],
      [n, 'completed'],
    ]),
  );
  const completed = told.find(each => each?.taskId === n) as { result: { content: { uri?: string }[] } };
  const { result: read } = await client.ask('3', 'resources/read', { uri: completed.result.content[1]?.uri });
  expect((read.contents as { text: string }[])[0]?.text).toBe('n');
  for (const each of told) {
    expect(each?._meta).toMatchObject({
      'io.modelcontextprotocol/subscriptionId': 'listen',
      'example.com/kept': true,
    });
  }
  expect([...stranger.messages, ...plain.messages].filter(isTask)).toEqual([]);
  for (const each of [listening, stranger, plain]) each.close();
});

test('[S-2] [tasks] a key hears of no task of a server that another key of its principal may use', async () => {
  const wide = createModernClient(gateway, { capabilities: tasks, key: await gateway.createKey('alice') });
  const narrowKey = await gateway.createKey('alice', ['*'], ['m']);
  const narrow = createModernClient(gateway, { capabilities: tasks, key: narrowKey });
  const ids = await Promise.all(
    ['m', 'n'].map(async each => (await wide.call(`${each}__slow`)).result.taskId),
  );
  const all = await wide.listen({ taskIds: ids });
  const some = await narrow.listen({ taskIds: ids });
  expect([all.acknowledged, some.acknowledged]).toEqual([{ taskIds: ids }, { taskIds: [ids[0]] }]);
  servers.n.tellTask('completed');
  await all.next('notifications/tasks');
  servers.m.tellTask('working');
  await some.next('notifications/tasks');
  expect(some.messages.filter(isTask).map(({ params }) => params?.taskId)).toEqual([ids[0]]);
  for (const each of [all, some]) each.close();
});

test('[S-2] [tasks] of a server that a policy forbids are told no more than they are read, and so are its resources', async () => {
  const http = ({ url }: ExtensionsServer) => ({ type: 'streamable-http', url, allow_private: true });
  const when = 'request.operation == "tasks/get" || request.operation == "resources/subscribe"';
  const policies = [{ name: 'no-news', effect: 'deny', kinds: ['server'], names: ['n'], when }];
  const guarded = await startGateway(
    { servers: { m: http(servers.m), n: http(servers.n) } },
    { config: { identity: { policies } } },
  );
  const client = createModernClient(guarded, { capabilities: tasks });
  const ids = await Promise.all(
    ['m', 'n'].map(async each => (await client.call(`${each}__slow`)).result.taskId),
  );
  const uris = ['m+doc://shared', 'n+doc://shared'];
  await client.ask('1', 'resources/list');
  const listening = await client.listen({ taskIds: ids, resourceSubscriptions: uris });
  expect(listening.acknowledged).toEqual({ taskIds: [ids[0]], resourceSubscriptions: [uris[0]] });
  listening.close();
  await guarded.close();
});

test('[tasks] are acknowledged to everybody or to nobody: what their server refuses is told to no second listener', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const { taskId } = (await client.call('m__slow')).result;
  servers.m.tellsNews = false;
  const listen = () => client.listen({ taskIds: [taskId] });
  const refused = await Promise.all([listen(), listen()]);
  expect(refused.map(each => each.acknowledged)).toEqual([{ taskIds: [] }, { taskIds: [] }]);
  servers.m.tellsNews = true;
  const told = await Promise.all([listen(), listen()]);
  expect(told.map(each => each.acknowledged)).toEqual([{ taskIds: [taskId] }, { taskIds: [taskId] }]);
  for (const each of [...refused, ...told]) each.close();
});

test('[resources/subscribe ↔ listen] what its server refuses is acknowledged to no second listener, and is not taken back', async () => {
  const client = createModernClient(gateway);
  const uri = 'a+doc://shared';
  await client.ask('1', 'resources/list');
  servers.a.tellsNews = false;
  const listen = () => client.listen({ resourceSubscriptions: [uri] });
  const refused = await Promise.all([listen(), listen()]);
  const none = { resourceSubscriptions: [] };
  expect(refused.map(each => each.acknowledged)).toEqual([none, none]);
  const count = (wanted: string) => servers.a.requests.filter(({ method }) => method === wanted).length;
  const before = count('resources/subscribe');
  servers.a.tellsNews = true;
  const told = await Promise.all([listen(), listen()]);
  const both = { resourceSubscriptions: [uri] };
  expect(told.map(each => each.acknowledged)).toEqual([both, both]);
  expect([count('resources/subscribe') - before, count('resources/unsubscribe')]).toEqual([1, 0]);
  for (const each of [...refused, ...told]) each.close();
  await until(() => count('resources/unsubscribe') === 1, 'the end of it');
});

test('[M-6] a server that was removed is not started again for those who stop listening to it', async () => {
  const client = createModernClient(gateway);
  await client.ask('1', 'resources/list');
  const uris = ['a+doc://shared', 'b+doc://shared'];
  const listening = await client.listen({ resourceSubscriptions: uris });
  expect(listening.acknowledged).toEqual({ resourceSubscriptions: uris });
  const http = { type: 'streamable-http', url: servers.b.url, allow_private: true };
  gateway.configure({ servers: { b: http } });
  const told = servers.a.requests.length;
  listening.close();
  await until(() => servers.b.requests.some(({ method }) => method === 'resources/unsubscribe'), 'the end');
  await client.ask('2', 'resources/list');
  expect(servers.a.requests.slice(told).map(({ method }) => method)).toEqual([]);
});

test('[tasks] many are watched together, and acknowledged each once in the order they are asked', async () => {
  const client = createModernClient(gateway, { capabilities: tasks });
  const ids: unknown[] = [];
  for (let each = 0; each < 40; each++)
    ids.push((await client.call('m__slow', { taskId: `t${each}` })).result.taskId);
  const listening = await client.listen({ taskIds: [...ids, ids[0]] });
  expect(listening.acknowledged).toEqual({ taskIds: ids });
  const opened = servers.m.requests.filter(({ method }) => method === 'subscriptions/listen');
  expect(opened.length).toBeLessThanOrEqual(3);
  listening.close();
});

const isTask = ({ method }: { method?: string }) => method === 'notifications/tasks';

test('[tasks] are never bridged in silence: neither offered nor made where the eras differ', async () => {
  const session = await openRawClient(gateway, { capabilities: tasks });
  const plain = await ask(session, 'tools/call', { name: 'm__slow', arguments: {} });
  expect(plain.result.content[0].text).toBe('m'); // its server was not told of an extension that nobody carries
  const modern = createModernClient(gateway, { capabilities: tasks });
  const { result } = await modern.ask('1', 'tools/list');
  const names = (result.tools as { name: string }[]).map(({ name }) => name);
  expect(names).toContain('m__slow');
  expect(names).not.toContain('a__slow'); // it can only run as a task of a session
  for (const method of ['tasks/list', 'tasks/result'])
    expect((await modern.ask('1', method)).status).toBe(404);
  expect((await ask(session, 'tasks/update', { taskId: 't' })).error.code).toBe(-32601);
});

test('[sampling / elicitation / roots] -32042 of a server with sessions is a question for a client without', async () => {
  const client = createModernClient(gateway, { capabilities: pages });
  const asked = await client.call('a__open-page');
  const inputRequests = asked.result.inputRequests as Record<string, unknown>;
  const [key = ''] = Object.keys(inputRequests);
  expect(asked.result.resultType).toBe('input_required');
  expect(inputRequests[key]).toMatchObject({
    method: 'elicitation/create',
    params: { mode: 'url', message: 'Log in' },
  });
  const refused = await client.call('a__open-page', {}, { inputResponses: { [key]: { action: 'decline' } } });
  expect(refused.error?.data).toMatchObject({ reason: 'input_refused' });
  expect(
    textOf(await client.call('a__open-page', {}, { inputResponses: { [key]: { action: 'accept' } } })),
  ).toBe('a');
  const calls = servers.a.requests.filter(({ method }) => method === 'tools/call');
  expect(calls).toHaveLength(2);
  const unable = await createModernClient(gateway).call('b__open-page');
  expect(unable).toMatchObject({
    status: 400,
    error: { code: -32021, data: { requiredCapabilities: { elicitation: { url: {} } } } },
  });
});

test('[sampling / elicitation / roots] pages that a server without sessions wants opened are -32042 for a session', async () => {
  const client = await openRawClient(gateway, { capabilities: pages });
  const asked = await ask(client, 'tools/call', { name: 'm__open-page', arguments: {} });
  expect(asked.error).toMatchObject({
    code: -32042,
    data: { elicitations: [{ mode: 'url', message: 'Log in' }] },
  });
  expect(asked.error.data.elicitations[0].elicitationId).toMatch(/^\w+$/);
  const again = await ask(client, 'tools/call', { name: 'm__open-page', arguments: {} });
  expect(again.result.content[0].text).toBe('m');
  expect(servers.m.answers).toEqual([[{ login: { action: 'accept' } }, 'st']]);
});

test('[resource URIs] resources in questions are named as the client knows them, whatever the two eras', async () => {
  const answer = { role: 'assistant', content: { type: 'text', text: 'hi' }, model: 'x' };
  const urisOf = (params: { messages: { content: unknown }[] }) =>
    [...JSON.stringify(params.messages).matchAll(/"uri":"([^"]+)"/g)].map(match => match[1]);
  const session = await openRawClient(gateway, { capabilities: { sampling: {} } });
  await ask(session, 'resources/list', {});
  for (const server of ['a', 'm']) {
    const params = { name: `${server}__sample`, arguments: {} };
    const response = await session.post(
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    );
    let last = '';
    for await (const { data } of eventsOf(response)) {
      if (data === '') continue;
      last = data;
      const question = JSON.parse(data);
      if (question.method !== 'sampling/createMessage') continue;
      expect(urisOf(question.params)).toEqual([`${server}+doc://shared`, `${server}+doc://shared`]);
      const result = { ...answer, ...(question.params._meta && { _meta: question.params._meta }) };
      await session.post(JSON.stringify({ jsonrpc: '2.0', id: question.id, result }));
    }
    expect(resultText(last)).toBe(server);
  }
  // The task that the question and its answer belong to has its own id at its server.
  expect(servers.a.answers).toEqual([{ ...answer, _meta: { [relatedTask]: { taskId: 't1' } } }]);

  const client = createModernClient(gateway, { capabilities: { sampling: {} } });
  await client.ask('1', 'resources/list');
  for (const server of ['a', 'm']) {
    const { result } = await client.call(`${server}__sample`);
    const [request] = Object.values(result.inputRequests as Record<string, { params: { messages: [] } }>);
    expect(urisOf(request?.params ?? { messages: [] })).toEqual([
      `${server}+doc://shared`,
      `${server}+doc://shared`,
    ]);
  }
});

test('[resource URIs] pages of apps keep their scheme, and each tool leads to its own server’s page', async () => {
  for (const place of ['a list that was read before', 'no list']) {
    const client = await openRawClient(gateway);
    const { result: opened } = await ask(client, 'tools/list', {});
    if (place !== 'no list') await ask(client, 'resources/list', {});
    const tools = opened.tools as { name: string; _meta?: { ui: { resourceUri: string } } }[];
    const uris = new Set<string>();
    for (const server of ['a', 'b', 'm', 'n']) {
      const uri = tools.find(({ name }) => name === `${server}__app`)?._meta?.ui.resourceUri ?? '';
      expect(uri).toMatch(/^ui:\/\//);
      uris.add(uri);
      const { result } = await ask(client, 'resources/read', { uri });
      expect(result.contents).toEqual([{ uri: expect.stringMatching(/^ui:\/\//), text: server }]);
    }
    expect(uris.size).toBe(4);
  }
  const { result } = await createModernClient(gateway).ask('1', 'server/discover');
  expect(result.capabilities).toMatchObject({ extensions: { 'io.modelcontextprotocol/ui': {} } });
  const unknown = await openRawClient(gateway);
  const [answer] = await unknown.ask(
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"ui://page"}}',
  );
  expect(errorOf(answer)?.data).toMatchObject({ reason: 'ambiguous_resource' });
});

test('[M24] resources of other schemes than a server may have are neither listed nor read', async () => {
  const section = { type: 'streamable-http', url: servers.a.url, allow_private: true, uri_schemes: ['ui'] };
  const narrow = await startGateway({ servers: { a: section } });
  const client = await openRawClient(narrow);
  const { resources } = (await ask(client, 'resources/list', {})).result;
  expect(resources.map(({ uri }: { uri: string }) => uri)).toEqual(['ui://page']);
  for (const uri of [
    'doc://shared',
    'a+doc://shared',
    'file:///etc/passwd',
    'a+file:///etc/passwd',
    'ui:../../etc/passwd/../x',
  ]) {
    const { error, result } = await ask(client, 'resources/read', { uri });
    // What is allowed goes to its server as it came; the gateway resolves nothing in it.
    if (result) expect(servers.a.requests.at(-1)?.params.uri).toBe(uri);
    else expect(error.data).toMatchObject({ reason: 'unknown_resource' });
  }
  expect(
    servers.a.requests.filter(
      ({ method, params }) => method === 'resources/read' && !String(params.uri).startsWith('ui:'),
    ),
  ).toEqual([]);
  await narrow.close();
});
