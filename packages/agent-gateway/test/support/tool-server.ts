import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type FarEnd, type Received, startFarEnd } from './http-far-end.ts';

interface Message {
  readonly id?: number;
  readonly method: string;
  readonly params?: {
    readonly name?: string;
    readonly arguments?: Record<string, unknown>;
    readonly _meta?: Record<string, unknown>;
  };
}

export interface Tool {
  readonly name: string;
  readonly annotations?: Record<string, boolean>;
  run(input: Record<string, unknown>): unknown;
}

export interface ToolServer extends FarEnd {
  /** `tools/call` requests, in the order they came. */
  readonly calls: readonly { readonly name: string; readonly key: unknown; readonly envelope: unknown }[];
  readonly openSessions: ReadonlySet<string>;
  /** Answers with an event stream instead of JSON. */
  streams: boolean;
  /** The next call is taken and not answered, until `answerHeld`. */
  holdNextCall(): Promise<void>;
  answerHeld(): void;
  /** Forgets every session, as a gateway does that was started again. */
  forgetSessions(): void;
}

/** A tool server that speaks Streamable HTTP (2025-11-25) over a real socket; no SDK, so that both ends are not the same code. */
export async function startToolServer(tools: readonly Tool[]): Promise<ToolServer> {
  const sessions = new Set<string>();
  const calls: { name: string; key: unknown; envelope: unknown }[] = [];
  let onHeld: (() => void) | undefined;
  const held: (() => void)[] = [];

  function answer(request: Received, response: ServerResponse): void {
    const session = request.headers['mcp-session-id'];
    if (request.method === 'DELETE') {
      sessions.delete(String(session));
      response.writeHead(200).end();
      return;
    }
    const message = JSON.parse(request.body) as Message; // from the client under test
    if (message.method === 'initialize') {
      const id = randomUUID();
      sessions.add(id);
      response.setHeader('mcp-session-id', id);
      send(response, message, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: {} });
      return;
    }
    if (!sessions.has(String(session))) {
      response.writeHead(404).end();
      return;
    }
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    if (message.method === 'tools/list') {
      const listed = tools.map(({ name, annotations }) => ({
        name,
        annotations,
        description: `Does ${name}`,
        inputSchema: { type: 'object' },
      }));
      send(response, message, { tools: listed });
      return;
    }
    runTool(message, request, response);
  }

  function runTool(message: Message, request: Received, response: ServerResponse): void {
    const { name = '', _meta } = message.params ?? {};
    const key = _meta?.['strata/idempotency-key'];
    calls.push({ name, key, envelope: request.headers['x-strata-envelope'] });
    if (onHeld !== undefined) {
      onHeld();
      onHeld = undefined;
      held.push(() => answerCall(message, response));
      return;
    }
    answerCall(message, response);
  }

  function answerCall(message: Message, response: ServerResponse): void {
    const { name = '', arguments: input = {} } = message.params ?? {};
    const tool = tools.find(each => each.name === name);
    if (tool === undefined) {
      const error = { code: -32602, message: `Unknown tool: ${name}` };
      const refused = { jsonrpc: '2.0', id: message.id, error };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(refused));
      return;
    }
    try {
      const output = tool.run(input);
      send(response, message, { content: [{ type: 'text', text: JSON.stringify(output) }] });
    } catch (error) {
      send(response, message, { content: [{ type: 'text', text: String(error) }], isError: true });
    }
  }

  function send(response: ServerResponse, { id }: Message, result: unknown): void {
    const body = JSON.stringify({ jsonrpc: '2.0', id, result });
    if (!server.streams) {
      response.setHeader('content-type', 'application/json').end(body);
      return;
    }
    response.setHeader('content-type', 'text/event-stream');
    const note = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
    response.end(`id: 1\ndata:\n\nevent: message\ndata: ${note}\n\nevent: message\ndata: ${body}\n\n`);
  }

  const farEnd = await startFarEnd(answer);
  const server: ToolServer = {
    ...farEnd,
    calls,
    openSessions: sessions,
    streams: false,
    holdNextCall: () =>
      new Promise(resolve => {
        onHeld = resolve;
      }),
    answerHeld() {
      for (const answer of held.splice(0)) answer();
    },
    forgetSessions: () => sessions.clear(),
  };
  return server;
}
