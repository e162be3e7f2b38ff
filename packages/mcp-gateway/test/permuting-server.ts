import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Message {
  readonly id?: unknown;
  readonly method: string;
  readonly params?: { readonly arguments?: { readonly mark?: string } };
}

const tools = [{ name: 'mark', inputSchema: { type: 'object' } }];

/**
 * A tool server of both eras that gives back the mark of each call, but not in the order in which they came: it collects
 * calls, shuffles them, and answers some as JSON, some as a stream, some later than others.
 */
export async function startPermutingServer(random: () => number) {
  let held: (() => void)[] = [];
  const release = () => {
    const ready = held;
    held = [];
    for (let at = ready.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [ready[at], ready[other]] = [ready[other] as () => void, ready[at] as () => void]; // both are in bounds
    }
    for (const answer of ready) {
      if (random() < 0.2) held.push(answer);
      else answer();
    }
  };
  const turns = setInterval(release, 5);

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.method !== 'POST') return void response.writeHead(405).end();
      const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
      if (message.id === undefined) return void response.writeHead(202).end();
      const { id, method } = message;
      const reply = (result: object, isStream = false) => send(response, id, result, isStream);
      if (method === 'tools/call') {
        const content = [{ type: 'text', text: message.params?.arguments?.mark ?? '' }];
        const isStream = random() < 0.3;
        return void held.push(() => reply({ content, resultType: 'complete' }, isStream));
      }
      if (method === 'initialize') {
        response.setHeader('mcp-session-id', randomUUID());
        const serverInfo = { name: 'permuting', version: '1' };
        return reply({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo });
      }
      if (method === 'server/discover') {
        return reply({
          resultType: 'complete',
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: {} },
        });
      }
      return reply(method === 'tools/list' ? { tools } : {});
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    async close() {
      clearInterval(turns);
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

function send(response: ServerResponse, id: unknown, result: object, isStream: boolean): void {
  const body = JSON.stringify({ jsonrpc: '2.0', id, result });
  response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
  response.end(isStream ? `data: ${body}\n\n` : body);
}
