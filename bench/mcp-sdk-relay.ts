/**
 * The yardstick: a relay as the SDK's own examples show how to write a server with sessions (`standaloneSseWithGetStreamableHttp.js` in its
 * package): its Express application, its transports with their defaults, which answer with an event stream. Nothing is logged, and no
 * event store is kept as in `simpleStreamableHttp.js`: both would make it slower.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { announce, openSession, sessions } from './mcp-sdk-session.ts';

/** What is used of Express, whose types the SDK does not bring. */
interface Application {
  post(path: string, handle: (request: ParsedRequest, response: ServerResponse) => Promise<void>): void;
  listen(port: number, host: string): HttpServer;
}

type ParsedRequest = IncomingMessage & { readonly body: unknown };

const app: Application = createMcpExpressApp();
app.post('/mcp', async (request, response) => {
  const id = request.headers['mcp-session-id'];
  const known = typeof id === 'string' ? sessions.get(id) : undefined;
  if (known === undefined && !isInitializeRequest(request.body)) {
    response.writeHead(404).end();
    return;
  }
  const transport = known ?? (await openSession({}));
  await transport.handleRequest(request, response, request.body);
});
announce(app.listen(0, '127.0.0.1'));
