import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  CreateTaskResultSchema,
  ElicitRequestSchema,
  GetTaskResultSchema,
  ListRootsRequestSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { startChaosProxy } from '@strata/shared/testing/chaos-proxy.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { node, serverScript, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;
let folder: string;
let remote: ChildProcess;
let old: ChildProcess;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const address = server.address();
  await new Promise(resolve => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'strata-mcp-')));
  const startEverything = async (transport: string, port: number) => {
    const child = spawn(node, [serverScript('everything'), transport], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise<void>(resolve =>
      child.stderr?.on(
        'data',
        (chunk: Buffer) => /listening on port|running on port/.test(chunk.toString()) && resolve(),
      ),
    );
    return child;
  };
  const [port, oldPort] = [await freePort(), await freePort()];
  [remote, old] = await Promise.all([
    startEverything('streamableHttp', port),
    startEverything('sse', oldPort),
  ]);
  gateway = await startGateway({
    streams: { retry_ms: 50 },
    servers: {
      everything: {
        type: 'stdio',
        command: [node, serverScript('everything')],
        env: { SERVER_MODE: 'configured' },
      },
      files: { type: 'stdio', command: [node, serverScript('filesystem'), folder], sharing: 'shared' },
      old: {
        type: 'sse',
        url: `http://127.0.0.1:${oldPort}/sse`,
        allow_private: true,
        max_result_bytes: 64 * 1024,
      },
      memory: {
        type: 'stdio',
        command: [node, serverScript('memory')],
        env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') },
        sharing: 'shared',
      },
      remote: { type: 'streamable-http', url: `http://127.0.0.1:${port}/mcp`, allow_private: true },
    },
  });
});

afterAll(async () => {
  await gateway?.close();
  remote?.kill('SIGKILL');
  old?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function connect(options: { key?: string; capabilities?: Record<string, object> } = {}) {
  const client = new Client({ name: 'test', version: '1' }, { capabilities: options.capabilities ?? {} });
  const transport = new StreamableHTTPClientTransport(gateway.url, {
    requestInit: { headers: { authorization: `Bearer ${options.key ?? gateway.userKey}` } },
  });
  return { client, transport, start: () => client.connect(transport as Parameters<Client['connect']>[0]) };
}

const textOf = (result: unknown) => {
  const [first] = (result as { content: { text?: string }[] }).content;
  return first?.text ?? '';
};

test('the official client lists and calls the tools of three real servers', async () => {
  const { client, start } = await connect();
  await start();
  expect(client.getServerCapabilities()).toMatchObject({
    tools: { listChanged: true },
    resources: { subscribe: true },
    prompts: {},
    logging: {},
    completions: {},
  });
  expect(client.getServerCapabilities()).toHaveProperty('tasks');
  expect(client.getInstructions()).toContain('# everything');
  await client.ping();

  const { tools, _meta } = await client.listTools();
  expect(_meta).toBeUndefined();
  const names = tools.map(tool => tool.name);
  expect(names).toContain('everything__echo');
  expect(names).toContain('files__write_file');
  expect(names).toContain('remote__get-sum');
  expect(new Set(names).size).toBe(names.length);

  const echo = await client.callTool({ name: 'everything__echo', arguments: { message: 'grüße' } });
  expect(textOf(echo)).toBe('Echo: grüße');
  const sum = await client.callTool({ name: 'remote__get-sum', arguments: { a: 2, b: 40 } });
  expect(textOf(sum)).toContain('42');
  await client.callTool({
    name: 'files__write_file',
    arguments: { path: join(folder, 'a.txt'), content: 'kept' },
  });
  expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('kept');
  const structured = await client.callTool({
    name: 'everything__get-structured-content',
    arguments: { location: 'New York' },
  });
  expect(structured.structuredContent).toMatchObject({ temperature: expect.any(Number) });
  await client.close();
});

test('[M21] a large answer of a server of the first revision ends its call, and not the stream that all its calls share', async () => {
  const { client, start } = await connect();
  await start();
  const echo = (length: number) =>
    client.callTool({ name: 'old__echo', arguments: { message: 'x'.repeat(length) } });
  const running = client.callTool({
    name: 'old__trigger-long-running-operation',
    arguments: { duration: 1, steps: 1 },
  });
  await expect(echo(100_000)).rejects.toMatchObject({ data: { reason: 'result_too_large' } });
  expect(textOf(await running)).toContain('completed');
  expect(textOf(await echo(10))).toBe('Echo: xxxxxxxxxx');
  await client.close();
});

test('[tasks] the official client runs a tool of server-everything as a task', async () => {
  const { client, start } = await connect();
  await start();
  const { tools } = await client.listTools();
  const research = tools.find(tool => tool.name === 'everything__simulate-research-query');
  expect(research?.execution?.taskSupport).toBe('required');
  const params = { name: research?.name ?? '', arguments: { topic: 'bees' }, task: { ttl: 60_000 } };
  const { task } = await client.request({ method: 'tools/call', params }, CreateTaskResultSchema);
  const { taskId } = task;
  expect(taskId).toMatch(/^everything\./);
  const result = await client.request({ method: 'tasks/result', params: { taskId } }, CallToolResultSchema);
  expect(textOf(result)).toContain('bees');
  expect(
    await client.request({ method: 'tasks/get', params: { taskId } }, GetTaskResultSchema),
  ).toMatchObject({
    taskId,
    status: 'completed',
  });
  await client.close();
});

test('[resource URIs] resources and templates of two servers with equal URIs both stay readable', async () => {
  const { client, start } = await connect();
  await start();
  const { resources } = await client.listResources();
  const uris = resources.map(resource => resource.uri);
  expect(new Set(uris).size).toBe(uris.length);
  const doc = uris.find(uri => uri.startsWith('everything+') && uri.endsWith('architecture.md'));
  const twin = uris.find(uri => uri.startsWith('remote+') && uri.endsWith('architecture.md'));
  for (const uri of [doc, twin]) {
    const { contents } = await client.readResource({ uri: uri ?? '' });
    expect(contents[0]?.uri).toBe(uri);
  }
  const { resourceTemplates } = await client.listResourceTemplates();
  const template = resourceTemplates.find(
    each => each.uriTemplate.startsWith('remote+') && each.uriTemplate.includes('text'),
  );
  const uri = template?.uriTemplate.replace(/\{\w+\}/, '7') ?? '';
  expect((await client.readResource({ uri })).contents[0]?.uri).toBe(uri);
  const links = await client.callTool({ name: 'remote__get-resource-links', arguments: { count: 2 } });
  const linked = (links.content as { type: string; uri?: string }[]).filter(
    block => block.type === 'resource_link',
  );
  expect(linked.length).toBe(2);
  for (const link of linked) {
    expect((await client.readResource({ uri: link.uri ?? '' })).contents[0]?.uri).toBe(link.uri);
  }
  await expect(client.readResource({ uri: 'nobody://has/this' })).rejects.toMatchObject({ code: -32002 });
  await client.close();
});

test('[completions] prompts and completions reach the server that offers them', async () => {
  const { client, start } = await connect();
  await start();
  const { prompts } = await client.listPrompts();
  const names = prompts.map(prompt => prompt.name);
  const withArguments = names.find(name => name.startsWith('remote__') && name.includes('args')) ?? '';
  const prompt = await client.getPrompt({ name: withArguments, arguments: { city: 'Paris' } });
  expect(JSON.stringify(prompt.messages)).toContain('Paris');
  const completable = names.find(name => name.startsWith('everything__') && name.includes('complet')) ?? '';
  const argument = prompts.find(each => each.name === completable)?.arguments?.[0]?.name ?? '';
  const { completion } = await client.complete({
    ref: { type: 'ref/prompt', name: completable },
    argument: { name: argument, value: '' },
  });
  expect(completion.values.length).toBeGreaterThan(0);
  await client.close();
});

test('progress of a call reaches the call, over stdio and over HTTP', async () => {
  const { client, start } = await connect();
  await start();
  for (const server of ['everything', 'remote']) {
    const seen: number[] = [];
    const result = await client.callTool(
      { name: `${server}__trigger-long-running-operation`, arguments: { duration: 0.4, steps: 4 } },
      undefined,
      { onprogress: progress => void seen.push(progress.progress) },
    );
    expect(textOf(result)).toContain('completed');
    expect(seen).toEqual([1, 2, 3, 4]);
  }
  await client.close();
});

test('servers ask the client for samples, input and roots, and get its answers', async () => {
  const capabilities = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
  const { client, start } = await connect({ capabilities });
  client.setRequestHandler(CreateMessageRequestSchema, request => ({
    model: 'test',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: `sampled: ${JSON.stringify(request.params.messages).length}` },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' as const }));
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: [{ uri: 'file:///r', name: 'my-root' }],
  }));
  await start();
  const names = (await client.listTools()).tools.map(tool => tool.name);
  for (const server of ['everything', 'remote']) {
    expect(names).toContain(`${server}__trigger-sampling-request`);
    const sampled = await client.callTool({
      name: `${server}__trigger-sampling-request`,
      arguments: { prompt: 'hello', maxTokens: 10 },
    });
    expect(textOf(sampled)).toContain('sampled');
    const elicited = await client.callTool({ name: `${server}__trigger-elicitation-request`, arguments: {} });
    expect(textOf(elicited).toLowerCase()).toContain('declined');
    const roots = await client.callTool({ name: `${server}__get-roots-list`, arguments: {} });
    expect(textOf(roots)).toContain('my-root');
  }
  await client.close();
});

test('a client without capabilities is not offered tools that would ask it', async () => {
  const { client, start } = await connect();
  await start();
  const names = (await client.listTools()).tools.map(tool => tool.name);
  expect(names.filter(name => name.includes('trigger-sampling-request'))).toEqual([]);
  await client.close();
});

test('subscribed resources report their updates, under the URI the client knows', async () => {
  const { client, start } = await connect();
  await start();
  const updated = Promise.withResolvers<string>();
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
    updated.resolve(params.uri),
  );
  const uri = 'everything+demo://resource/dynamic/text/1';
  await client.subscribeResource({ uri });
  await client.callTool({ name: 'everything__toggle-subscriber-updates', arguments: {} });
  expect(await updated.promise).toBe(uri);
  await client.unsubscribeResource({ uri });
  await client.setLoggingLevel('debug');
  await client.close();
});

test('[M3] a server sees the environment it was given, and nothing of the gateway’s', async () => {
  const { client, start } = await connect();
  await start();
  const env = textOf(await client.callTool({ name: 'everything__get-env', arguments: {} }));
  const { SERVER_MODE: mode, ...inherited } = JSON.parse(env) as Record<string, string>;
  expect(mode).toBe('configured');
  expect(
    Object.keys(inherited).filter(
      name => !/^(HOME|LANG|LC_ALL|LOGNAME|PATH|SHELL|TERM|TMPDIR|TZ|USER)$/.test(name),
    ),
  ).toEqual([]);
  await client.close();
});

test('[F59] the official client gets its result and every progress once, though its connections were reset', async () => {
  const proxy = await startChaosProxy({ target: { port: Number(gateway.url.port) } });
  const client = new Client({ name: 'test', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${proxy.port}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${gateway.userKey}` } },
  });
  await client.connect(transport as Parameters<Client['connect']>[0]);
  const seen: number[] = [];
  const result = await client.callTool(
    { name: 'everything__trigger-long-running-operation', arguments: { duration: 1.5, steps: 5 } },
    undefined,
    {
      onprogress: ({ progress }) => {
        seen.push(progress);
        if (progress === 2) proxy.reset();
      },
    },
  );
  expect(textOf(result)).toContain('completed');
  expect(seen).toEqual([1, 2, 3, 4, 5]);
  expect(proxy.connections.some(connection => connection.isClosed)).toBe(true);
  await client.close();
  await proxy.close();
});

test('a client that prefers the stateless era falls back to a session by itself', async () => {
  const client = new ModernClient({ name: 'modern', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const transport = new ModernTransport(gateway.url, {
    requestInit: { headers: { authorization: `Bearer ${gateway.userKey}` } },
  });
  await client.connect(transport);
  const { tools } = await client.listTools();
  expect(tools.map(tool => tool.name)).toContain('files__write_file');
  const sum = await client.callTool({ name: 'everything__get-sum', arguments: { a: 1, b: 2 } });
  expect(textOf(sum)).toContain('3');
  await client.close();
});

test('a server of the first revision answers over its event stream, and asks its client there', async () => {
  const { client, start } = await connect({ capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'test',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'a sample for the old one' },
  }));
  await start();
  const sum = await client.callTool({ name: 'old__get-sum', arguments: { a: 40, b: 2 } });
  expect(textOf(sum)).toContain('42');
  const sampled = await client.callTool({
    name: 'old__trigger-sampling-request',
    arguments: { prompt: 'hello', maxTokens: 10 },
  });
  expect(textOf(sampled)).toContain('a sample for the old one');
  await client.close();
});

test('what one session stores with server-memory another one finds', async () => {
  const first = await connect();
  await first.start();
  const entities = [{ name: 'Ada', entityType: 'person', observations: ['wrote the first program'] }];
  await first.client.callTool({ name: 'memory__create_entities', arguments: { entities } });
  await first.client.close();
  const second = await connect();
  await second.start();
  const graph = await second.client.callTool({ name: 'memory__read_graph', arguments: {} });
  expect(textOf(graph)).toContain('wrote the first program');
  await second.client.close();
});

test('a client of the first revision uses everything over its one stream', async () => {
  const client = new Client({ name: 'old-client', version: '1' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'test',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'sampled by the old one' },
  }));
  const headers = { authorization: `Bearer ${gateway.userKey}` };
  const transport = new SSEClientTransport(new URL('/sse', gateway.url), {
    eventSourceInit: {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    },
    requestInit: { headers },
  });
  await client.connect(transport as Parameters<Client['connect']>[0]);
  expect((await client.listTools()).tools.map(tool => tool.name)).toContain('everything__echo');
  const seen: number[] = [];
  const long = await client.callTool(
    { name: 'everything__trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } },
    undefined,
    { onprogress: ({ progress }) => void seen.push(progress) },
  );
  expect(textOf(long)).toContain('completed');
  // This client forgets who wanted progress when the answer stands in the same chunk as the last of it.
  expect(seen.slice(0, 2)).toEqual([1, 2]);
  const sampled = await client.callTool({
    name: 'remote__trigger-sampling-request',
    arguments: { prompt: 'hello', maxTokens: 10 },
  });
  expect(textOf(sampled)).toContain('sampled by the old one');
  const foreign = await fetch(new URL('/messages?session_id=x', gateway.url), {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  });
  expect(foreign.status).toBe(404);
  await client.close();
});
