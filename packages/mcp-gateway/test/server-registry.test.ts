import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FakeHttpServer, startFakeHttpServer } from './fake-http-server.ts';
import { errorOf, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Servers that an admin registers and switches while the gateways run. */
let one: TestGateway;
let two: TestGateway;
let remote: FakeHttpServer;
let folder: string;

const scripted = { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-registry-'));
  remote = await startFakeHttpServer();
  const options = { hot: createMemoryHot(systemClock), dataDir: folder };
  const section = {
    servers: { fixed: scripted },
    list_changed_debounce_ms: 10,
    streams: { stream_after_ms: 5000 },
  };
  one = await startGateway(section, options);
  two = await startGateway(section, options);
});

afterAll(async () => {
  await Promise.all([one?.close(), two?.close()]);
  await remote?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function admin(method: string, path: string, body?: unknown, key = one.adminKey): Promise<Answer> {
  const response = await fetch(new URL(`/admin/v1/mcp/servers${path}`, one.url), {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
async function toolsAt(gateway: TestGateway): Promise<string[]> {
  const client = await openRawClient(gateway);
  const [answer] = await client.ask(list);
  return JSON.parse(answer ?? '').result.tools.map((tool: { name: string }) => tool.name);
}

test('a registered server is used at once, at every replica, and its credential is shown to nobody', async () => {
  const definition = {
    type: 'streamable-http',
    url: remote.url,
    allow_private: true,
    headers: { 'x-key': 'hush' },
  };
  const made = await admin('PUT', '/later', definition);
  expect(made.status).toBe(200);
  expect(JSON.stringify(made.body)).not.toContain('hush');
  expect(made.body).toMatchObject({ name: 'later', source: 'admin', state: 'enabled', revision: 1 });
  for (const gateway of [one, two]) {
    await until(async () => (await toolsAt(gateway)).includes('later__echo'), 'the new server');
  }
  const client = await openRawClient(two);
  expect(resultText((await client.call('1', 'later__echo'))[0])).toContain('session');
  expect(remote.requests.at(-1)?.headers['x-key']).toBe('hush');
  const { body } = await admin('GET', '');
  const names = (body.servers as { name: string; source: string }[]).map(
    ({ name, source }) => `${name} ${source}`,
  );
  expect(names).toEqual(['fixed config', 'later admin']);
  const checked = await admin('POST', '/later/check');
  expect(checked.body).toMatchObject({ health: { status: 'up', failures: 0 } });
  remote.refuseWith = 503;
  expect((await admin('POST', '/later/check')).body).toMatchObject({
    health: { status: 'down', reason: 'server_refused' },
  });
  remote.refuseWith = undefined;
  expect((await admin('DELETE', '/later')).status).toBe(204);
  const entered = (await one.audited('default'))
    .map(record => record.action)
    .filter(action => action.startsWith('mcp_server.'));
  expect(entered).toEqual(['mcp_server.register', 'mcp_server.remove']);
  await until(async () => !(await toolsAt(two)).includes('later__echo'), 'the end of the server');
});

test('disabled is not offered, enabled is again; both also for a server of the configuration', async () => {
  expect((await admin('POST', '/fixed/disable')).body).toMatchObject({ state: 'disabled', source: 'config' });
  for (const gateway of [one, two]) {
    await until(async () => !(await toolsAt(gateway)).includes('fixed__pid'), 'the end');
  }
  await admin('POST', '/fixed/enable');
  for (const gateway of [one, two])
    await until(async () => (await toolsAt(gateway)).includes('fixed__pid'), 'the return');
});

test('a server that is drained finishes what runs, takes nothing new, and is then disabled', async () => {
  await admin('PUT', '/drained', scripted);
  const client = await openRawClient(one);
  expect(resultText((await client.call('1', 'drained__pid'))[0])).toMatch(/^\d+$/);
  const running = client.call('2', 'drained__echo', { delayMs: 700 });
  await until(async () => {
    const { health } = (await admin('GET', '/drained')).body as { health?: { running: number } };
    return health?.running === 1;
  }, 'the call to run');
  expect((await admin('POST', '/drained/drain')).body).toMatchObject({ state: 'draining' });
  expect(errorOf((await client.call('3', 'drained__pid'))[0])?.data).toMatchObject({
    reason: 'unknown_tool',
  });
  expect(resultText((await running)[0])).toContain('drained__echo'.slice(9));
  await until(async () => (await admin('GET', '/drained')).body.state === 'disabled', 'the end of the drain');
});

test('a server can be drained again: as it is, after it was enabled, and with another definition', async () => {
  const drain = async () => {
    expect((await admin('POST', '/again/drain')).status).toBe(200);
    await until(async () => (await admin('GET', '/again')).body.state === 'disabled', 'the end of the drain');
  };
  await admin('PUT', '/again', scripted);
  await drain();
  await drain();
  await admin('POST', '/again/enable');
  await until(async () => (await toolsAt(two)).includes('again__pid'), 'the return');
  await drain();
  await admin('PUT', '/again', { ...scripted, sharing: 'session' });
  await drain();
  await admin('DELETE', '/again');
});

test('a call whose server is disabled is told so, and its session goes on', async () => {
  await admin('PUT', '/cut', scripted);
  const client = await openRawClient(one);
  const running = client.call('1', 'cut__never');
  await until(async () => {
    const { health } = (await admin('GET', '/cut')).body as { health?: { running: number } };
    return health?.running === 1;
  }, 'the call to run');
  await admin('POST', '/cut/disable');
  expect(errorOf((await running).at(-1))?.data).toMatchObject({ reason: 'server_removed', server: 'cut' });
  expect(resultText((await client.call('2', 'fixed__pid'))[0])).toMatch(/^\d+$/);
  await admin('DELETE', '/cut');
});

test('what runs at one replica is not cut when another was told to drain the server and is done first', async () => {
  await admin('PUT', '/elsewhere', scripted);
  await until(async () => (await toolsAt(two)).includes('elsewhere__pid'), 'the server at the other replica');
  const client = await openRawClient({ ...two, userKey: one.userKey });
  const running = client.call('2', 'elsewhere__echo', { delayMs: 1500 });
  const health = async (gateway: TestGateway) => {
    const url = new URL('/admin/v1/mcp/servers/elsewhere', gateway.url);
    const answer = await fetch(url, { headers: { authorization: `Bearer ${one.adminKey}` } });
    return (await answer.json()) as { state: string; health?: { running: number } };
  };
  await until(async () => (await health(two)).health?.running === 1, 'the call to run');
  await admin('POST', '/elsewhere/drain');
  await until(async () => (await health(two)).state === 'disabled', 'the end of the drain');
  expect(errorOf((await client.call('3', 'elsewhere__pid'))[0])?.data).toMatchObject({
    reason: 'unknown_tool',
  });
  expect(resultText((await running).at(-1))).toContain('echo');
  await until(async () => (await health(two)).health === undefined, 'the server to be closed there too');
  await admin('DELETE', '/elsewhere');
});

test('an entry of a registry becomes a server', async () => {
  const server = {
    name: 'io.github.someone/weather',
    remotes: [{ type: 'streamable-http', url: remote.url.replace('tenant=7', 'tenant={tenant}') }],
  };
  // As a registry answers, with what it adds.
  const made = await admin('POST', '/import', { server, _meta: { official: {} }, values: { tenant: '9' } });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ name: 'weather', config: { url: remote.url.replace('=7', '=9') } });
  expect((await admin('POST', '/import', { server })).body).toMatchObject({ reason: 'server_json_invalid' });
  await admin('DELETE', '/weather');
});

test.each([
  ['a name of the configuration', 'fixed', scripted, 409, 'server_in_config'],
  ['a name that looks like another', 'fiXed', scripted, 400, 'server_definition_invalid'],
  ['no name', 'a__b', scripted, 400, 'server_definition_invalid'],
  ['no kind', 'x', { type: 'telepathy' }, 400, 'server_definition_invalid'],
  ['an option that is none', 'x', { ...scripted, shell: true }, 400, 'server_definition_invalid'],
  ['[M2] a loader', 'x', { type: 'stdio', command: ['/usr/bin/npx', 'x'] }, 400, 'server_definition_invalid'],
])('refused with a reason: %s', async (_name, name, definition, status, reason) => {
  const answer = await admin('PUT', `/${name}`, definition);
  expect(answer.status).toBe(status);
  expect(answer.body).toMatchObject({ reason });
});

test('[S-2] only admins see and change servers', async () => {
  for (const [method, path] of [
    ['GET', ''],
    ['PUT', '/x'],
    ['DELETE', '/fixed'],
    ['POST', '/fixed/disable'],
  ] as const) {
    expect((await admin(method, path, method === 'PUT' ? scripted : undefined, one.userKey)).status).toBe(
      403,
    );
  }
  expect((await admin('GET', '/nowhere')).body).toMatchObject({ reason: 'unknown_server' });
});
