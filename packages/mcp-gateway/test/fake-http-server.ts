import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A Streamable HTTP tool server that keeps what it was sent and misbehaves as it is told. */
export interface FakeHttpServer {
  readonly url: string;
  readonly requests: {
    readonly method: string;
    readonly headers: IncomingMessage['headers'];
    readonly body: string;
  }[];
  initializations: number;
  /** What a request under a session that is not known gets. */
  lostStatus: 404 | 400;
  /** Cuts this many answers after their first event; the rest is given to whoever resumes. */
  cuts: number;
  /** What every request gets instead of an answer. */
  refuseWith: number | undefined;
  forgetSessions(): void;
  /** Sends a message on every open stream of a session. */
  push(message: object): void;
  close(): Promise<void>;
}

export async function startFakeHttpServer(): Promise<FakeHttpServer> {
  const sessions = new Set<string>();
  const streams = new Set<ServerResponse>();
  const held = new Map<string, string>();
  let count = 0;

  const fake: FakeHttpServer = {
    url: '',
    requests: [],
    initializations: 0,
    lostStatus: 404,
    cuts: 0,
    refuseWith: undefined,
    forgetSessions: () => sessions.clear(),
    push(message) {
      for (const stream of streams)
        stream.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  const resultOf = (
    method: string,
    params: { name?: string; arguments?: unknown },
    request: IncomingMessage,
  ) => {
    if (method === 'tools/list') return { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] };
    if (method === 'tools/call') {
      const text = JSON.stringify({
        arguments: params.arguments,
        session: request.headers['mcp-session-id'],
      });
      return { content: [{ type: 'text', text }] };
    }
    return {};
  };

  const onPost = (request: IncomingMessage, response: ServerResponse, body: string): unknown => {
    const { id, method, params } = JSON.parse(body) as {
      id?: number;
      method?: string;
      params: { name?: string };
    };
    const session = request.headers['mcp-session-id'];
    if (fake.refuseWith !== undefined) return response.writeHead(fake.refuseWith).end();
    if (method === 'initialize') {
      fake.initializations++;
      const minted = `session-${++count}`;
      sessions.add(minted);
      const result = {
        protocolVersion: '2025-06-18',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'fake', version: '1' },
      };
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': minted });
      return response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    }
    if (typeof session !== 'string' || !sessions.has(session))
      return response.writeHead(fake.lostStatus).end('{}');
    if (id === undefined || method === undefined) return response.writeHead(202).end();
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: resultOf(method, params, request) });
    if (method === 'tools/call' && fake.cuts > 0) {
      fake.cuts--;
      const eventId = `e${++count}`;
      held.set(eventId, answer);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      return response.write(`retry: 10\nid: ${eventId}\ndata:\n\n`, () => response.destroy());
    }
    const log = (params as { arguments?: { log?: string } } | undefined)?.arguments?.log;
    if (log !== undefined) {
      const note = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: log } };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${JSON.stringify(note)}\n\n`);
      return setTimeout(() => response.end(`data: ${answer}\n\n`), 50);
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(answer);
  };

  const onGet = (request: IncomingMessage, response: ServerResponse): unknown => {
    const last = request.headers['last-event-id'];
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    const answer = typeof last === 'string' ? held.get(last) : undefined;
    if (answer !== undefined) return response.end(`id: done\ndata: ${answer}\n\n`);
    streams.add(response);
    return response.on('close', () => streams.delete(response));
  };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      fake.requests.push({ method: request.method ?? '', headers: request.headers, body });
      if (request.method === 'POST') onPost(request, response, body);
      else if (request.method === 'GET') onGet(request, response);
      else response.writeHead(200).end();
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(fake, { url: `http://127.0.0.1:${port}/tools/mcp?tenant=7` });
}
