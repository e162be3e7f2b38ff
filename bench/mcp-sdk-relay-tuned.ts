/** The same relay by somebody who measured: no Express, and answers in JSON (`enableJsonResponse`), which leaves nothing between calls to stream. */
import { createServer, type IncomingMessage } from 'node:http';
import { announce, openSession, sessions } from './mcp-sdk-session.ts';

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const http = createServer((request, response) => {
  const answer = async () => {
    const id = request.headers['mcp-session-id'];
    const transport = sessions.get(String(id)) ?? (await openSession({ enableJsonResponse: true }));
    const body = request.method === 'POST' ? await readJson(request) : undefined;
    await transport.handleRequest(request, response, body);
  };
  answer().catch(() => response.destroy());
});
announce(http.listen(0, '127.0.0.1'));
