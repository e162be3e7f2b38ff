import { join } from 'node:path';
import { type Candidate, compare, renderComparison } from './compare.ts';
import { startGateway, upstreamCore } from './gateways.ts';
import { startProgram } from './processes.ts';

/** mcp-gateway against calling the tool server itself, both over Streamable HTTP in one session. */
export async function benchMcpGateway(options: { rounds: number; requests: number }): Promise<string> {
  const echo = await startProgram({
    entry: join(import.meta.dirname, 'mcp-echo-server.ts'),
    core: upstreamCore,
  });
  const gateway = await startGateway('mcp-gateway', {
    listen: { port: 0 },
    servers: { echo: { type: 'streamable-http', url: `${echo.url}/mcp`, allow_private: true } },
  });
  try {
    const direct = await candidate('direct', `${echo.url}/mcp`, 'none', 'echo');
    const through = await candidate('mcp-gateway', `${gateway.url}/mcp`, gateway.key, 'echo__echo');
    const results = await compare([direct, through], { ...options, connections: 32 });
    return renderComparison(results, 'mcp-gateway', ['direct']);
  } finally {
    await Promise.all([gateway.stop(), echo.stop()]);
  }
}

/** Opens a session and makes the call that is repeated in it. */
async function candidate(name: string, url: string, key: string, tool: string): Promise<Candidate> {
  const headers: Record<string, string> = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const send = (message: object) =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  const opened = await send({
    id: 1,
    method: 'initialize',
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'bench', version: '1.0.0' },
    },
  });
  await opened.text();
  const session = opened.headers.get('mcp-session-id');
  if (session !== null) headers['mcp-session-id'] = session;
  headers['mcp-protocol-version'] = '2025-11-25';
  await (await send({ method: 'notifications/initialized' })).text();
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 2,
    method: 'tools/call',
    params: { name: tool, arguments: { text: 'hello' } },
  });
  return { name, url, headers, body };
}
