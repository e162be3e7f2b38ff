import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Era } from '../src/domain/protocol-versions.ts';

/** A tool server of one era whose every answer a test can write anew. */
export interface AnsweringServer {
  readonly url: string;
  /** Writes an answer as JSON text, given the whole one that would be sent; `undefined` leaves it as it is. */
  twist: (method: string, answer: Answer) => string | undefined;
  /** Messages that are sent on the stream of a `tools/call` before its answer. */
  before: readonly string[];
  close(): Promise<void>;
}

export interface Answer {
  readonly jsonrpc: '2.0';
  readonly id: unknown;
  readonly result: object;
}

const tool = {
  name: 'mark',
  title: 'Mark',
  description: 'Says what it was told.',
  inputSchema: {
    type: 'object',
    properties: { mark: { type: 'string', 'x-mcp-header': 'Mark' }, other: { anyOf: [{ type: 'null' }] } },
    required: ['mark'],
  },
  outputSchema: { type: 'object', properties: { mark: { type: 'string' } } },
  annotations: { title: 'Mark', readOnlyHint: true },
  execution: { taskSupport: 'optional' },
  icons: [{ src: 'data:,', mimeType: 'image/png', sizes: ['any'] }],
  _meta: { ui: { resourceUri: 'ui://page' } },
};
const plainTool = { name: 'plain', inputSchema: { type: 'object' } };
const capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
  extensions: { 'example.com/thing': { a: 1 } },
};
const serverInfo = { name: 'answering', version: '1', title: 'Answering' };
const link = { type: 'resource_link', uri: 'note://b', name: 'b' };

const results: Readonly<Record<string, object>> = {
  initialize: { protocolVersion: '2025-11-25', capabilities, serverInfo, instructions: 'Ask.' },
  'server/discover': {
    resultType: 'complete',
    supportedVersions: ['2026-07-28'],
    capabilities,
    instructions: 'Ask.',
    ttlMs: 0,
    cacheScope: 'private',
    _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo },
  },
  'tools/list': { tools: [tool, plainTool], ttlMs: 0, cacheScope: 'private', _meta: { a: 1 } },
  'prompts/list': {
    prompts: [{ name: 'hello', title: 'Hello', arguments: [{ name: 'who', required: true }] }],
    ttlMs: 0,
    cacheScope: 'private',
  },
  'resources/list': {
    resources: [
      { uri: 'note://a', name: 'a', mimeType: 'text/plain', size: 1, annotations: { priority: 1 } },
    ],
    ttlMs: 0,
    cacheScope: 'private',
  },
  'resources/templates/list': {
    resourceTemplates: [{ uriTemplate: 'note://{id}', name: 'n' }],
    ttlMs: 0,
    cacheScope: 'private',
  },
  'tools/call': {
    content: [
      { type: 'text', text: 'a' },
      link,
      { type: 'resource', resource: { uri: 'note://a', text: 'b' } },
    ],
    structuredContent: { mark: 'a' },
    isError: false,
    _meta: { 'io.modelcontextprotocol/related-task': { taskId: 't' }, ui: { resourceUri: 'ui://page' } },
  },
  'prompts/get': { description: 'd', messages: [{ role: 'user', content: link }] },
  'resources/read': { contents: [{ uri: 'note://a', text: 'a' }], ttlMs: 0, cacheScope: 'private' },
  'completion/complete': { completion: { values: ['a'], total: 1, hasMore: false } },
};

export async function startAnsweringServer(era: Era): Promise<AnsweringServer> {
  const fake: AnsweringServer = { url: '', twist: () => undefined, before: [], close: async () => {} };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()));
  });
  const answer = (request: IncomingMessage, response: ServerResponse, body: string) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const { id, method = '' } = JSON.parse(body) as { id?: unknown; method?: string };
    if (id === undefined || method === '') return void response.writeHead(202).end();
    if (method === (era === 'modern' ? 'initialize' : 'server/discover')) {
      return void response.writeHead(400).end();
    }
    const own: object = results[method] ?? {};
    const result = era === 'modern' ? { resultType: 'complete', ...own } : own;
    const whole: Answer = { jsonrpc: '2.0', id, result };
    const text = fake.twist(method, whole) ?? JSON.stringify(whole);
    if (method === 'initialize') response.setHeader('mcp-session-id', 's');
    const isStream = method === 'tools/call' && fake.before.length > 0;
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
    const events = [...fake.before, text].map(message => `data: ${message}\n\n`);
    response.end(isStream ? events.join('') : text);
  };
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}/mcp`,
    async close() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  });
}
