import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A Streamable HTTP tool server that counts how often each call was executed. Its tool takes `{ nonce, delayMs }`. */
export interface CountingServer {
  readonly url: string;
  readonly executions: Map<string, number>;
  close(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly method: string;
  readonly params?: { readonly arguments?: { readonly nonce?: string; readonly delayMs?: number } };
}

const initialized = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'counting', version: '1' },
};

export async function startCountingServer(): Promise<CountingServer> {
  const executions = new Map<string, number>();
  const resultOf = async ({ method, params }: Message) => {
    if (method === 'initialize') return initialized;
    if (method === 'tools/list') return { tools: [{ name: 'count', inputSchema: { type: 'object' } }] };
    if (method !== 'tools/call') return {};
    const { nonce = '', delayMs = 0 } = params?.arguments ?? {};
    executions.set(nonce, (executions.get(nonce) ?? 0) + 1);
    await new Promise(resolve => setTimeout(resolve, delayMs));
    return { content: [{ type: 'text', text: nonce }] };
  };
  const server = createServer((request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
      if (message.id === undefined) return void response.writeHead(202).end();
      const result = await resultOf(message);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    executions,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
