import { allScopes } from '@strata/shared/identity/scopes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, serverScript, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;
const scripted = (...args: string[]) => ({
  type: 'stdio',
  command: [node, fixture('scripted-server.ts'), ...args],
  sharing: 'shared',
});

const section = {
  servers: {
    one: scripted(),
    two: scripted(),
    docs: { type: 'stdio', command: [node, serverScript('everything')], sharing: 'shared' },
  },
  list_changed_debounce_ms: 10,
};

beforeAll(async () => {
  gateway = await startGateway(section);
});

afterAll(() => gateway?.close());

const list = (method: string) => `{"jsonrpc":"2.0","id":1,"method":"${method}"}`;
const toolNames = (answer: string | undefined) =>
  (JSON.parse(answer ?? '').result.tools as { name: string }[]).map(tool => tool.name);

test('a key sees and calls the tools its globs match', async () => {
  const client = await openRawClient(gateway, {
    key: await gateway.createKey('reader', ['one__e*', 'two__pid']),
  });
  expect(toolNames((await client.ask(list('tools/list')))[0])).toEqual(['one__echo', 'two__pid']);
  expect(resultText((await client.call('1', 'two__pid'))[0])).toMatch(/^\d+$/);
});

test('[S-2] a tool outside the scope is refused exactly like one that does not exist', async () => {
  const client = await openRawClient(gateway, { key: await gateway.createKey('narrow', ['one__echo']) });
  const refusal = async (name: string) => {
    const { error, id } = JSON.parse((await client.call('1', name))[0] ?? '');
    const { request_id: _id, ...data } = error.data;
    return { id, code: error.code, message: error.message.replace(name, '<name>'), data };
  };
  const absent = await refusal('one__no-such-tool');
  expect(absent).toMatchObject({ code: -32602, data: { reason: 'unknown_tool' } });
  for (const name of ['one__pid', 'two__echo', 'nowhere__echo', 'echo'])
    expect(await refusal(name)).toEqual(absent);
});

test('[S-2] a key without tools sees none, and nothing of the servers', async () => {
  const client = await openRawClient(gateway, { key: await gateway.createKey('nobody', []) });
  expect(toolNames((await client.ask(list('tools/list')))[0])).toEqual([]);
  const [resources] = await client.ask(list('resources/list'));
  expect(JSON.parse(resources ?? '').result).toEqual({ resources: [] });
  expect(errorOf((await client.call('1', 'one__echo'))[0])?.data).toMatchObject({ reason: 'unknown_tool' });
});

test('a call for somebody is held to what the envelope leaves: scopes, deadline, and the record says who', async () => {
  const scopes = { ...allScopes, tools: ['one__*'] };
  const envelope = await gateway.issueEnvelope({ scopes, runId: 'run_7', deadlineAtMs: Date.now() + 4000 });
  const client = await openRawClient(gateway, { envelope });
  expect(resultText((await client.call('1', 'one__pid'))[0])).toMatch(/^\d+$/);
  expect(errorOf((await client.call('2', 'two__pid'))[0])?.data).toMatchObject({ reason: 'unknown_tool' });
  const [late] = (await client.call('3', 'one__never')).slice(-1);
  expect(errorOf(late)).toMatchObject({ code: -32001, data: { reason: 'deadline_passed' } });
  expect(gateway.logs).toContainEqual(
    expect.objectContaining({
      call: expect.objectContaining({ principal: 'asker', actors: ['workflow:test'], runId: 'run_7' }),
    }),
  );
});

test('resources and prompts follow the globs too', async () => {
  const client = await openRawClient(gateway, { key: await gateway.createKey('scripted', ['one__*']) });
  for (const [method, member] of [
    ['resources/list', 'resources'],
    ['resources/templates/list', 'resourceTemplates'],
    ['prompts/list', 'prompts'],
  ] as const) {
    expect(JSON.parse((await client.ask(list(method)))[0] ?? '').result[member], method).toEqual([]);
  }
  const everyone = await openRawClient(gateway);
  const { resources } = JSON.parse((await everyone.ask(list('resources/list')))[0] ?? '').result;
  const uri = resources[0].uri as string;
  const read = `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":${JSON.stringify(uri)}}}`;
  expect(errorOf((await everyone.ask(read))[0])).toBeUndefined();
  expect(errorOf((await client.ask(read))[0])).toMatchObject({
    code: -32002,
    data: { reason: 'unknown_resource' },
  });
});

test('[pagination] pages follow one another by their cursors, and a foreign cursor is refused', async () => {
  const small = await startGateway({ ...section, list_page_size: 5 });
  const client = await openRawClient(small);
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const params = cursor === undefined ? '{}' : JSON.stringify({ cursor });
    const [answer = ''] = await client.ask(
      `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${params}}`,
    );
    names.push(...toolNames(answer));
    cursor = JSON.parse(answer).result.nextCursor;
  } while (cursor !== undefined);
  const whole = await openRawClient(gateway);
  expect(names).toEqual(toolNames((await whole.ask(list('tools/list')))[0]));
  const [refused] = await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}');
  expect(errorOf(refused)).toMatchObject({ code: -32602, data: { reason: 'invalid_cursor' } });
  await small.close();
});

test('[M8] names that two servers claim are refused and reported', async () => {
  const clashing = await startGateway({
    servers: { a: { ...scripted(), names: 'plain' }, b: { ...scripted('tool=only-b'), names: 'plain' } },
  });
  const client = await openRawClient(clashing);
  const [answer = ''] = await client.ask(list('tools/list'));
  expect(toolNames(answer)).toEqual(['only-b']);
  expect(JSON.parse(answer).result._meta['strata/refused_names']).toContainEqual({
    name: 'echo',
    servers: ['a', 'b'],
  });
  expect(errorOf((await client.call('1', 'echo'))[0])?.data).toMatchObject({ reason: 'unknown_tool' });
  expect(resultText((await client.call('1', 'only-b'))[0])).toBe('only-b');
  await clashing.close();
});

test('a virtual server offers its servers and globs, within those of the key, and nothing else', async () => {
  const virtual = await startGateway({
    servers: { one: scripted(), two: scripted('tool=extra') },
    namespaces: { slim: { servers: ['two'], allow: ['*__e*', '*__pid'], deny: ['*__echo'] } },
  });
  const key = await virtual.createKey('some', ['*', '!*__extra']);
  const client = await openRawClient(virtual, { namespace: 'slim', key });
  expect(toolNames((await client.ask(list('tools/list')))[0])).toEqual(['two__pid']);
  expect(resultText((await client.call('1', 'two__pid'))[0])).toMatch(/^\d+$/);
  for (const name of ['two__echo', 'two__extra', 'two__fail', 'one__pid'])
    expect(errorOf((await client.call('1', name))[0])?.data, name).toMatchObject({ reason: 'unknown_tool' });
  const whole = await openRawClient(virtual, { namespace: 'slim' });
  expect(toolNames((await whole.ask(list('tools/list')))[0])).toEqual(['two__pid', 'two__extra']);
  // A session belongs to the path it was opened under.
  const headers = { 'mcp-session-id': client.sessionId };
  const everywhere = await openRawClient(virtual, { key });
  expect((await everywhere.post(list('tools/list'), { headers })).status).toBe(404);
  await expect(openRawClient(virtual, { namespace: 'absent' })).rejects.toThrow(/404.*unknown_namespace/s);
  await virtual.close();
});

test('a list of 500 tools is rendered once and then sent as it is', async () => {
  const names = Array.from({ length: 500 }, (_, index) => `tool=t${index}`);
  const large = await startGateway({ servers: { one: scripted(...names) } });
  const client = await openRawClient(large);
  const [first = ''] = await client.ask(list('tools/list'));
  expect(toolNames(first)).toHaveLength(518);
  expect((await client.ask(list('tools/list')))[0]).toBe(first);
  await client.call('1', 'one__add-tool', { name: 'late' });
  await until(
    async () => toolNames((await client.ask(list('tools/list')))[0]).includes('one__late'),
    'the new tool',
  );
  await large.close();
});

test('a reload adds and removes servers while sessions go on, and tells them', async () => {
  const changing = await startGateway({ ...section, servers: { one: scripted() } });
  const client = await openRawClient(changing);
  await client.ask(list('tools/list'));
  const pid = resultText((await client.call('1', 'one__pid'))[0]);
  const cut = new AbortController();
  const stream = await client.get({ signal: cut.signal });
  changing.configure({ ...section, servers: { one: scripted(), two: scripted() } });
  const reader = stream.body?.getReader();
  let seen = '';
  await until(async () => {
    seen += Buffer.from((await reader?.read())?.value ?? []).toString();
    return seen.includes('tools/list_changed');
  }, 'the news');
  cut.abort();
  expect(toolNames((await client.ask(list('tools/list')))[0])).toContain('two__echo');
  expect(resultText((await client.call('2', 'one__pid'))[0])).toBe(pid); // unchanged servers go on
  changing.configure({ ...section, servers: { two: scripted() } });
  expect(toolNames((await client.ask(list('tools/list')))[0])).not.toContain('one__echo');
  expect(errorOf((await client.call('3', 'one__pid'))[0])?.data).toMatchObject({ reason: 'unknown_tool' });
  await changing.close();
});

test('[S-2] a server that a key may not use is not there for it, whatever its tool globs say', async () => {
  const scopes = { ...allScopes, servers: ['*', '!one', '!docs'] };
  const made = await gateway.deps.keys.create({ name: 'x', tenant: 'default', principal: 'no-one', scopes });
  const client = await openRawClient(gateway, { key: made.secret.reveal() });
  const names = toolNames((await client.ask(list('tools/list')))[0]);
  expect(names).toContain('two__echo');
  expect(names.filter(name => !name.startsWith('two__'))).toEqual([]);
  expect(errorOf((await client.call('1', 'one__echo'))[0])?.data).toMatchObject({ reason: 'unknown_tool' });
  const [resources] = await client.ask(list('resources/list'));
  expect(JSON.parse(resources ?? '').result.resources).toEqual([]);
});

test('a policy refuses a call, and says which one did', async () => {
  const guarded = await startGateway(section, {
    config: {
      identity: {
        policies: [
          {
            name: 'read-only-for-agents',
            effect: 'deny',
            kinds: ['tool'],
            names: ['*', '!*__echo'],
            when: 'resource.server == "one" && principal.id == "robot"',
          },
        ],
      },
    },
  });
  const client = await openRawClient(guarded, { key: await guarded.createKey('robot') });
  expect(resultText((await client.call('1', 'one__echo', { a: 1 }))[0])).toContain('"a":1');
  expect(errorOf((await client.call('2', 'one__pid'))[0])).toMatchObject({
    data: { reason: 'policy_denied', rule: 'read-only-for-agents' },
  });
  expect(resultText((await client.call('3', 'two__pid'))[0])).toMatch(/^\d+$/);
  await guarded.close();
});
