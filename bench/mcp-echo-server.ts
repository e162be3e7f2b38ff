/** The smallest tool server over Streamable HTTP, in both eras: one tool that gives its text back among 499 that are only listed. The work of a real tool would hide what a gateway costs. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Message {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: { readonly protocolVersion?: string; readonly arguments?: { readonly text?: string } };
}

const tool = {
  name: 'echo',
  description: 'Gives its text back.',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
};

const tools = [tool, ...Array.from({ length: 499 }, (_, index) => ({ ...tool, name: `tool_${index}` }))];

function resultOf({ method, params }: Message): object {
  if (method === 'initialize') {
    return {
      protocolVersion: params?.protocolVersion ?? '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 'echo', version: '1.0.0' },
    };
  }
  if (method === 'server/discover') {
    return {
      resultType: 'complete',
      supportedVersions: ['2026-07-28'],
      capabilities: { tools: {} },
      ttlMs: 60_000,
    };
  }
  if (method === 'tools/list') return { tools, resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
  if (method === 'tools/call') return { content: [{ type: 'text', text: params?.arguments?.text ?? '' }] };
  return {};
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const body = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: resultOf(message) });
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      .end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ type: 'ready', name: 'echo', url: `http://127.0.0.1:${port}` });
});
process.once('SIGTERM', () => process.exit(0));
