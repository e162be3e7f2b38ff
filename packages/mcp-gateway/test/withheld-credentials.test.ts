import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Asked } from './fixtures/telling-server.ts';
import { openRawClient, type RawClient, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Servers of every kind that tell what they were shown, wherever a message has room for it. */
const credential = 'of+the/operator=1';

let servers: Server;
let gateway: TestGateway;
let client: RawClient;
let oldStream: ServerResponse | undefined;

const hello = {
  protocolVersion: '2025-06-18',
  capabilities: { tools: {}, logging: {} },
  serverInfo: { name: 'teller', version: '1' },
  instructions: `I was shown ${credential}`,
  supportedVersions: ['2026-07-28'],
  resultType: 'complete',
  ttlMs: 0,
  cacheScope: 'private',
};
const tool = {
  name: 'tell',
  description: `knows ${encodeURIComponent(credential)}`,
  inputSchema: { type: 'object' },
};

function messagesFor({ id, method, params }: Asked, shown: string): object[] {
  const answer = (rest: object) => [{ jsonrpc: '2.0', id, ...rest }];
  const note = (noted: string, noteParams: object) => ({ jsonrpc: '2.0', method: noted, params: noteParams });
  if (method === 'initialize' || method === 'server/discover') return answer({ result: hello });
  if (method === 'tools/list') return answer({ result: { ...hello, tools: [tool] } });
  if (params?.arguments?.how === 'error')
    return answer({ error: { code: -32000, message: `refused ${shown}`, data: { shown } } });
  const text = `${shown} ${encodeURIComponent(shown)} ${JSON.stringify({ shown })} ${shown.replaceAll('/', '\\/')}`;
  const result = {
    ...hello,
    instructions: undefined,
    content: [{ type: 'text', text }],
    structuredContent: { [shown]: shown },
  };
  const progressToken = params?._meta?.progressToken;
  return [
    ...(progressToken === undefined
      ? []
      : [note('notifications/progress', { progressToken, progress: 1, message: shown })]),
    note('notifications/message', { level: 'error', data: { shown } }),
    ...answer({ result }),
  ];
}

/** Cut in the middle of the credential, wherever that stands. */
function writeInPieces(response: ServerResponse, text: string): void {
  const [first = '', ...rest] = text.split(/(?<=of\+the)/);
  response.write(first);
  const next = () => {
    const piece = rest.shift();
    if (piece === undefined) return;
    response.write(piece, () => setImmediate(next));
  };
  setImmediate(next);
}

beforeAll(async () => {
  servers = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const shown = searchParams.get('code') ?? (request.headers.authorization ?? '').replace('Bearer ', '');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (pathname === '/sse' && request.method === 'GET') {
        oldStream = response.writeHead(200, { 'content-type': 'text/event-stream' });
        return void response.write('event: endpoint\ndata: /sse\n\n');
      }
      if (request.method !== 'POST') return void response.writeHead(405).end();
      const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
      if (asked.id === undefined) return void response.writeHead(202).end();
      const messages = messagesFor(asked, shown);
      const events = messages.map(each => `data: ${JSON.stringify(each)}\n\n`).join('');
      if (pathname === '/sse') {
        response.writeHead(202).end();
        return void (oldStream && writeInPieces(oldStream, events));
      }
      if (pathname === '/json') {
        response.writeHead(200, { 'content-type': 'application/json' });
        return void response.end(JSON.stringify(messages.at(-1)));
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      writeInPieces(response, events);
    });
  });
  await new Promise<void>(resolve => servers.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(servers.address() as AddressInfo).port}`;
  const http = { type: 'streamable-http', allow_private: true, era: 'legacy' };
  const headers = { authorization: `Bearer ${credential}` };
  gateway = await startGateway({
    servers: {
      json: { ...http, url: `${at}/json`, headers },
      events: { ...http, url: `${at}/events`, headers },
      modern: { ...http, era: 'modern', url: `${at}/events`, headers },
      query: { ...http, url: `${at}/events?code=${encodeURIComponent(credential)}` },
      old: { type: 'sse', allow_private: true, url: `${at}/sse`, headers },
      process: {
        type: 'stdio',
        command: [node, fixture('telling-server.ts')],
        env: { SERVICE_TOKEN: credential, TENANT: 'acme-inc' },
      },
    },
  });
  client = await openRawClient(gateway);
});

afterAll(async () => {
  await gateway?.close();
  servers?.closeAllConnections();
  await new Promise(resolve => servers?.close(resolve));
});

const call = (server: string, how: string) =>
  client.ask(
    JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: `${server}__tell`, arguments: { how }, _meta: { progressToken: 'p' } },
    }),
  );

test.each(['json', 'events', 'modern', 'query', 'old', 'process'])(
  '[S20] what the server "%s" was shown is in none of its messages',
  async server => {
    for (const how of ['result', 'error']) {
      const messages = await call(server, how);
      const heard = messages.join('\n');
      for (const form of [credential, encodeURIComponent(credential), 'operator'])
        expect(heard, `${server} ${how}`).not.toContain(form);
      const last = JSON.parse(messages.at(-1) ?? '');
      expect(last.id).toBe(1);
      if (how === 'error') expect(last.error.data).toEqual({ shown: '***' });
      else expect(last.result.structuredContent).toMatchObject({ '***': '***' });
    }
  },
);

test('[S20] neither lists nor instructions tell it, and what is no credential is told', async () => {
  const listed = (await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')).join('');
  expect(listed).toContain('knows ***');
  expect(listed).not.toContain('operator');
  const other = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateway.userKey}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
    }),
  });
  const told = await other.text();
  expect(told).toContain('I was shown ***');
  expect(told).not.toContain('operator');
  expect((await call('process', 'result')).join('')).toContain('acme-inc');
});

test('[S20] the log does not tell what a process wrote about it when it ended', async () => {
  await call('process', 'end');
  const ended = () => gateway.logs.find(({ server, stderr }) => server === 'process' && stderr !== undefined);
  await until(() => ended() !== undefined, 'the end of the process in the log', 20_000);
  expect(ended()?.stderr).toContain('cannot use ***');
});
