import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEverythingServer } from './fixtures/everything/start.ts';
import { errorOf, isAlive, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;
const scripted = (...args: string[]) => ({
  type: 'stdio',
  command: [node, fixture('scripted-server.ts'), ...args],
  open_timeout_ms: 5000,
  stop_grace_ms: 100,
});

beforeAll(async () => {
  gateway = await startGateway({
    servers: {
      good: { ...scripted(), sharing: 'shared' },
      bad: { ...scripted(), sharing: 'shared', max_lines_per_second: 1_000_000 },
      slow: { ...scripted(), sharing: 'shared', max_lines_per_second: 1000, timeout_ms: 600_000 },
      small: { ...scripted(), max_result_bytes: 4096, max_line_bytes: 64 * 1024 },
      absent: { ...scripted('exit-at-start'), open_timeout_ms: 1000 },
      nowhere: { type: 'stdio', command: ['/no/such/program'], open_timeout_ms: 1000 },
      silent: { ...scripted('silent'), open_timeout_ms: 300 },
      paged: { ...scripted('pages=4'), sharing: 'shared' },
    },
    list_timeout_ms: 3000,
  });
});

afterAll(() => gateway?.close());

const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
interface Listed {
  readonly tools: { readonly name: string }[];
  readonly _meta?: Record<string, { readonly server: string; readonly reason: string }[]>;
}
const listed = (answer: string | undefined) => JSON.parse(answer ?? '').result as Listed;

test('[partial failure][P25] servers that are down are named in the list, and the others’ tools are there', async () => {
  const client = await openRawClient(gateway);
  const { tools, _meta } = listed((await client.ask(list))[0]);
  const missing = _meta?.['strata/unavailable_servers'] ?? [];
  expect(missing.map(each => each.server).sort()).toEqual(['absent', 'nowhere', 'silent']);
  expect(tools.some(tool => tool.name === 'good__echo')).toBe(true);
  const [refused] = await client.call('1', 'absent__echo');
  expect(errorOf(refused)).toMatchObject({
    code: -32603,
    data: { reason: 'server_unavailable', server: 'absent' },
  });
});

test('[pagination][P9] every page of a server is read, past empty pages and empty cursors', async () => {
  const client = await openRawClient(gateway);
  const { tools } = listed((await client.ask(list))[0]);
  const of = (server: string) => tools.filter(tool => tool.name.startsWith(`${server}__`)).length;
  expect(of('paged')).toBe(of('good'));
});

test('[F51] a server that dies in the middle of calls answers each of them at once, and comes back', async () => {
  const client = await openRawClient(gateway);
  const pid = Number(resultText((await client.call('1', 'bad__pid'))[0]));
  const startedMs = Date.now();
  const waiting = [
    client.call('2', 'bad__never'),
    client.call('3', 'bad__never'),
    client.call('4', 'bad__crash'),
  ];
  for (const [answer] of await Promise.all(waiting)) {
    expect(errorOf(answer)).toMatchObject({ code: -32603, data: { reason: 'server_gone', server: 'bad' } });
  }
  expect(Date.now() - startedMs).toBeLessThan(5000); // the calls themselves would wait for two minutes
  const again = Number(resultText((await client.call('5', 'bad__pid'))[0]));
  expect(again).toBeGreaterThan(0);
  expect(again).not.toBe(pid);
});

test('[F51] a server that dies as soon as it starts is not started over and over', async () => {
  const client = await openRawClient(gateway);
  const reasons = new Set<unknown>();
  await until(
    async () => {
      const { _meta } = listed((await client.ask(list))[0]);
      reasons.add(_meta?.['strata/unavailable_servers']?.find(each => each.server === 'absent')?.reason);
      return reasons.has('server_flapping');
    },
    'the breaker',
    20_000,
  );
  expect(gateway.logs.some(line => String(line.stderr).includes('cannot find my configuration'))).toBe(true);
});

test('[F51] a session that brings its process down again and again waits, and no other session does', async () => {
  const [rough, other] = await Promise.all([openRawClient(gateway), openRawClient(gateway)]);
  const reasons = new Set<unknown>();
  await until(
    async () => {
      const [answer] = await rough.call('1', 'small__crash');
      const data = errorOf(answer)?.data;
      reasons.add(data?.cause ?? data?.reason);
      return reasons.has('server_flapping');
    },
    'the breaker',
    20_000,
  );
  expect(reasons).toContain('server_gone');
  expect(Number(resultText((await other.call('1', 'small__pid'))[0]))).toBeGreaterThan(0);
});

test('[F57] an answer of a process that is none fails its call at once, and no other', async () => {
  const client = await openRawClient(gateway);
  const lines = [
    '{"jsonrpc":"2.0","id":$id}',
    '{"jsonrpc":"2.0","id":$id,"result":{},"error":{"code":1,"message":"x"}}',
    '{"id":$id,"result":{}}',
    '{"jsonrpc":"2.0","id":$id,"result":7}',
  ];
  for (const line of lines) {
    const running = client.call('1', 'bad__pid', { delayMs: 200 });
    const [answer] = await client.call('2', 'bad__raw', { lines: [line] });
    expect(errorOf(answer)?.data, line).toMatchObject({ reason: 'server_message_invalid' });
    expect(Number(resultText((await running).at(-1))), line).toBeGreaterThan(0);
  }
});

test('[M21] garbage is survived in small doses and ends the server in large ones', async () => {
  const client = await openRawClient(gateway);
  expect(resultText((await client.call('1', 'bad__garbage', { lines: 2 }))[0])).toBe('sorry');
  const [answer] = await client.call('2', 'bad__garbage', { lines: 3 });
  expect(errorOf(answer)?.data).toMatchObject({ reason: 'server_gone' });
  expect(resultText((await client.call('3', 'bad__garbage', { lines: 0 }))[0])).toBe('sorry');
});

test('[M21] an answer that is too large is an error of its call, a line past all limits ends the server', async () => {
  const client = await openRawClient(gateway);
  const pid = resultText((await client.call('1', 'small__pid'))[0]);
  const [large] = await client.call('2', 'small__huge', { bytes: 10_000 });
  expect(errorOf(large)?.data).toMatchObject({ reason: 'result_too_large', retryable: false });
  expect(resultText((await client.call('3', 'small__pid'))[0])).toBe(pid);
  const [larger] = await client.call('4', 'small__huge', { bytes: 200_000 });
  expect(errorOf(larger)).toMatchObject({
    code: -32603,
    data: { reason: 'result_too_large', retryable: false },
  });
  expect(resultText((await client.call('5', 'small__pid'))[0])).toBe(pid);
  const [endless] = await client.call('6', 'small__huge', { bytes: 3_000_000 });
  expect(errorOf(endless)?.data).toMatchObject({ reason: 'server_gone' });
  expect(resultText((await client.call('7', 'small__pid'))[0])).not.toBe(pid);
});

test.each(['legacy', 'modern'] as const)(
  '[M21] an answer that is too large for its stream is an error of its call (%s)',
  async era => {
    const server = await startEverythingServer(era);
    const it = { type: 'streamable-http', url: server.url, allow_private: true, max_result_bytes: 65_536 };
    const gatewayOfIt = await startGateway({ servers: { it } });
    try {
      const client = await openRawClient(gatewayOfIt);
      const [large] = await client.call('1', 'it__echo', { text: 'x'.repeat(100_000) });
      expect(errorOf(large)?.data).toMatchObject({ reason: 'result_too_large', retryable: false });
      const calls = server.requests.filter(method => method === 'tools/call');
      expect(calls).toHaveLength(1);
      expect(resultText((await client.call('2', 'it__echo', { text: 'x' }))[0])).toContain('"text":"x"');
    } finally {
      await gatewayOfIt.close();
      await server.close();
    }
  },
);

test('[F54] a server that does not read its input costs its own callers an error, and no memory', async () => {
  const deaf = { ...scripted('deaf'), max_input_bytes: 1024 * 1024, timeout_ms: 700 };
  const gatewayOfDeaf = await startGateway({ servers: { deaf }, list_timeout_ms: 300 });
  const client = await openRawClient(gatewayOfDeaf);
  const big = 'x'.repeat(512 * 1024);
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      client.ask(
        `{"jsonrpc":"2.0","id":${index},"method":"resources/read","params":{"uri":"deaf+x://${index}","x":"${big}"}}`,
      ),
    ),
  );
  const reasons = answers.map(([answer]) => errorOf(answer)?.data?.reason);
  expect(reasons).toContain('server_not_reading');
  expect(reasons.every(reason => reason === 'server_not_reading' || reason === 'call_timeout')).toBe(true);
  const { _meta } = listed((await client.ask(list))[0]);
  expect(_meta?.['strata/unavailable_servers']).toEqual([{ server: 'deaf', reason: 'server_not_reading' }]);
  await gatewayOfDeaf.close();
});

test('[F68] a server that floods is made to wait, and the others answer as before', async () => {
  const client = await openRawClient(gateway);
  const flood = client.call('1', 'slow__flood', { lines: 3000 });
  const startedMs = performance.now();
  for (let index = 0; index < 20; index++) await client.call(String(index), 'good__pid');
  expect(performance.now() - startedMs).toBeLessThan(5000);
  expect(resultText((await flood).at(-1))).toBe('flooded');
});

test('[logging][S-1] log lines of a shared server reach nobody, those of a session’s own server reach it', async () => {
  const [caller, other] = await Promise.all([openRawClient(gateway), openRawClient(gateway)]);
  const cut = new AbortController();
  const stream = await other.get({ signal: cut.signal });
  const isLog = (message: string) => message.includes('notifications/message');
  expect((await caller.call('1', 'good__flood', { lines: 5 })).filter(isLog)).toHaveLength(0);
  expect((await caller.call('2', 'small__flood', { lines: 5 })).filter(isLog)).toHaveLength(5);
  await other.ask(list);
  await other.call('1', 'good__add-tool', { name: `tool-${Date.now()}` });
  const reader = stream.body?.getReader();
  let seen = '';
  await until(async () => {
    seen += Buffer.from((await reader?.read())?.value ?? []).toString();
    return seen.includes('list_changed');
  }, 'the change of the list');
  expect(seen).not.toContain('notifications/message');
  cut.abort();
});

test('[S-1] a shared server cannot ask the client whose call happens to run', async () => {
  const client = await openRawClient(gateway, { capabilities: { sampling: {} } });
  const [answer] = await client.call('1', 'good__ask');
  expect(JSON.parse(resultText(answer))).toMatchObject({ error: { code: -32601 } });
});

test('[list_changed][P21] a storm of list changes that change nothing is not told, one change is told once', async () => {
  const client = await openRawClient(gateway);
  await client.ask(list);
  const lines = Array.from(
    { length: 50 },
    () => '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}',
  );
  const cut = new AbortController();
  const stream = await client.get({ signal: cut.signal });
  await client.call('1', 'good__raw', { lines });
  await client.call('2', 'small__raw', { lines });
  const reader = stream.body?.getReader();
  let seen = '';
  const read = (async () => {
    for (;;) {
      const chunk = await reader?.read();
      if (!chunk || chunk.done) return;
      seen += Buffer.from(chunk.value).toString();
    }
  })();
  read.catch(() => {});
  const told = () => seen.match(/tools\/list_changed/g)?.length ?? 0;
  await client.call('3', 'small__add-tool', { name: 'really-new' });
  await until(() => told() > 0, 'the first change');
  await client.call('4', 'small__raw', { lines });
  await client.call('5', 'good__raw', { lines });
  await client.call('6', 'small__add-tool', { name: 'newer-still' });
  await until(() => told() > 1, 'the second change');
  expect(told()).toBe(2);
  cut.abort();
});

test('[ping][F52] a server that is stopped in its tracks costs its call a timeout, then it is started anew', async () => {
  const gatewayOfStuck = await startGateway({
    servers: { stuck: { ...scripted(), open_timeout_ms: 1500, timeout_ms: 1000 } },
  });
  const client = await openRawClient(gatewayOfStuck);
  const pid = Number(resultText((await client.call('1', 'stuck__pid'))[0]));
  process.kill(pid, 'SIGSTOP');
  const [late] = await client.call('2', 'stuck__pid');
  expect(errorOf(late)?.data).toMatchObject({ reason: 'call_timeout' });
  await until(() => !isAlive(pid), 'the end of the stopped process');
  expect(resultText((await client.call('3', 'stuck__pid'))[0])).toMatch(/^\d+$/);
  await gatewayOfStuck.close();
});

test('a server’s own children end with it', async () => {
  const client = await openRawClient(gateway);
  const grandchild = Number(resultText((await client.call('1', 'small__grandchild'))[0]));
  expect(isAlive(grandchild)).toBe(true);
  await client.end();
  await until(() => !isAlive(grandchild), 'the end of the grandchild');
});

test('[M1] a server whose pinned file changed is not started; one within kernel limits gets no more', async () => {
  const script = fixture('scripted-server.ts');
  const sha256 = createHash('sha256').update(readFileSync(script)).digest('hex');
  const command = [node, script];
  const confined = await startGateway({
    servers: {
      right: { type: 'stdio', command, pinned_files: { [script]: sha256 }, limits: { open_files: 77 } },
      wrong: { type: 'stdio', command, pinned_files: { [script]: '0'.repeat(64) } },
      gone: { type: 'stdio', command, pinned_files: { '/nowhere/at-all': sha256 } },
    },
  });
  const client = await openRawClient(confined);
  expect(resultText((await client.call('1', 'right__limit'))[0])).toBe('77');
  for (const server of ['wrong', 'gone']) {
    const error = errorOf((await client.call('2', `${server}__pid`))[0]);
    expect(error?.data, server).toMatchObject({
      reason: 'server_unavailable',
      cause: 'server_files_changed',
    });
  }
  await confined.close();
});
