import { randomUUID } from 'node:crypto';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  StreamableHTTPServerTransport,
  type StreamableHTTPServerTransportOptions,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  ListToolsRequestSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';

const upstream = new URL(process.env.UPSTREAM ?? '');
const info = { name: 'relay', version: '1.0.0' };

export const sessions = new Map<string, StreamableHTTPServerTransport>();

/** A `Server` towards the client and a `Client` towards the server at `UPSTREAM`, whose handlers pass on what they get. */
export async function openSession(
  options: Pick<StreamableHTTPServerTransportOptions, 'enableJsonResponse'>,
): Promise<StreamableHTTPServerTransport> {
  const client = new Client(info);
  // The SDK's own transports do not fit its own interface under `exactOptionalPropertyTypes`.
  await client.connect(new StreamableHTTPClientTransport(upstream) as Transport);
  const server = new Server(info, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, request => client.request(request, ListToolsResultSchema));
  server.setRequestHandler(CallToolRequestSchema, request => client.request(request, CallToolResultSchema));
  const transport = new StreamableHTTPServerTransport({
    ...options,
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: id => void sessions.set(id, transport),
  });
  await server.connect(transport as Transport);
  return transport;
}

/** Tells who started this program where it listens, once it does. */
export function announce(http: HttpServer): void {
  http.once('listening', () => {
    const { port } = http.address() as AddressInfo;
    process.send?.({ type: 'ready', name: 'relay', url: `http://127.0.0.1:${port}` });
  });
  process.once('SIGTERM', () => process.exit(0));
}
