/**
 * The yardstick: a relay as the SDK invites to write it, a `Server` towards the client and a `Client` towards the server for each
 * session, whose handlers pass on what they get. `UPSTREAM` is the address of the server.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  ListToolsRequestSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';

const upstream = new URL(process.env.UPSTREAM ?? '');
const sessions = new Map<string, StreamableHTTPServerTransport>();
const info = { name: 'relay', version: '1.0.0' };

async function openSession(): Promise<StreamableHTTPServerTransport> {
  const client = new Client(info);
  // The SDK's own transports do not fit its own interface under `exactOptionalPropertyTypes`.
  await client.connect(new StreamableHTTPClientTransport(upstream) as Transport);
  const server = new Server(info, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, request => client.request(request, ListToolsResultSchema));
  server.setRequestHandler(CallToolRequestSchema, request => client.request(request, CallToolResultSchema));
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    enableJsonResponse: true,
    onsessioninitialized: id => void sessions.set(id, transport),
  });
  await server.connect(transport as Transport);
  return transport;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const http = createServer((request, response) => {
  const answer = async () => {
    const id = request.headers['mcp-session-id'];
    const transport = sessions.get(String(id)) ?? (await openSession());
    const body = request.method === 'POST' ? await readJson(request) : undefined;
    await transport.handleRequest(request, response, body);
  };
  answer().catch(() => response.destroy());
});
http.listen(0, '127.0.0.1', () => {
  const { port } = http.address() as AddressInfo;
  process.send?.({ type: 'ready', name: 'relay', url: `http://127.0.0.1:${port}` });
});
process.once('SIGTERM', () => process.exit(0));
