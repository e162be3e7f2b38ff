import { join } from 'node:path';
import { type Candidate, compare, renderComparison } from './compare.ts';
import { gatewayCore, startGateway, upstreamCore } from './gateways.ts';
import { startProgram } from './processes.ts';

const here = import.meta.dirname;
const connections = 32;

/**
 * mcp-gateway against calling the tool server itself and against relays of the SDK's own classes, as its examples show it and tuned: calls in a session, calls without
 * sessions, and the list of 500 tools.
 */
export async function benchMcpGateway(options: { rounds: number; requests: number }): Promise<string> {
  const echo = await startProgram({ entry: join(here, 'mcp-echo-server.ts'), core: upstreamCore });
  const startRelay = (file: string) =>
    startProgram({ entry: join(here, file), env: { UPSTREAM: `${echo.url}/mcp` }, core: gatewayCore });
  const relay = await startRelay('mcp-sdk-relay.ts');
  const tuned = await startRelay('mcp-sdk-relay-tuned.ts');
  const server = { type: 'streamable-http', url: `${echo.url}/mcp`, allow_private: true };
  const gateway = await startGateway('mcp-gateway', {
    listen: { port: 0 },
    servers: { echo: { ...server, era: 'legacy' }, modern: { ...server, era: 'modern' } },
    namespaces: { sessions: { servers: ['echo'] }, stateless: { servers: ['modern'] } },
  });
  const direct = { url: `${echo.url}/mcp`, key: 'none', tool: 'echo', cpuMs: echo.cpuMs };
  const relays = [
    { name: 'SDK relay', url: `${relay.url}/mcp`, key: 'none', tool: 'echo', cpuMs: relay.cpuMs },
    { name: 'tuned SDK relay', url: `${tuned.url}/mcp`, key: 'none', tool: 'echo', cpuMs: tuned.cpuMs },
  ];
  const { key, cpuMs } = gateway;
  const through = { url: `${gateway.url}/mcp/sessions`, key, tool: 'echo__echo', cpuMs };
  const stateless = { url: `${gateway.url}/mcp/stateless`, key, tool: 'modern__echo', cpuMs };
  try {
    const calls = await compare(
      [
        await inSession('direct', direct, call(direct.tool)),
        ...(await Promise.all(relays.map(each => inSession(each.name, each, call(each.tool))))),
        await inSession('mcp-gateway', through, call(through.tool)),
      ],
      { ...options, connections },
    );
    const modern = await compare([modernCall('direct', direct), modernCall('mcp-gateway', stateless)], {
      ...options,
      connections,
    });
    const lists = await compare(
      [
        await inSession('direct', direct, list),
        ...(await Promise.all(relays.map(each => inSession(each.name, each, list)))),
        await inSession('mcp-gateway', through, list),
      ],
      { ...options, requests: Math.ceil(options.requests / 10), connections },
    );
    return [
      `#### \`tools/call\` in one session (2025-11-25), ${connections} connections\n`,
      renderComparison(calls, 'mcp-gateway', ['SDK relay', 'tuned SDK relay', 'direct']),
      `\n#### \`tools/call\` without sessions (2026-07-28), ${connections} connections\n`,
      renderComparison(modern, 'mcp-gateway', ['direct']),
      `\n#### \`tools/list\` of 500 tools in one session, ${connections} connections\n`,
      renderComparison(lists, 'mcp-gateway', ['SDK relay', 'tuned SDK relay', 'direct']),
    ].join('\n');
  } finally {
    await Promise.all([gateway, relay, tuned, echo].map(each => each.stop()));
  }
}

interface Target {
  readonly url: string;
  readonly key: string;
  readonly tool: string;
  readonly cpuMs: () => number;
}

/** `wire-load.ts` counts it up. */
const id = 1_000_000_000;
const list = { id, method: 'tools/list', params: {} };
const call = (tool: string) => ({
  id,
  method: 'tools/call',
  params: { name: tool, arguments: { text: 'hello' } },
});

/** Opens a session and makes the request that is repeated in it. */
async function inSession(name: string, { url, key, cpuMs }: Target, message: object): Promise<Candidate> {
  const headers: Record<string, string> = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const send = (sent: object) =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...sent }) });
  const clientInfo = { name: 'bench', version: '1.0.0' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const opened = await send({ id: 1, method: 'initialize', params });
  await opened.text();
  const session = opened.headers.get('mcp-session-id');
  if (session !== null) headers['mcp-session-id'] = session;
  headers['mcp-protocol-version'] = '2025-11-25';
  await (await send({ method: 'notifications/initialized' })).text();
  return { name, url, headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }), cpuMs };
}

function modernCall(name: string, { url, key, tool, cpuMs }: Target): Candidate {
  const prefix = 'io.modelcontextprotocol/';
  const message = call(tool);
  const _meta = { [`${prefix}protocolVersion`]: '2026-07-28', [`${prefix}clientCapabilities`]: {} };
  return {
    name,
    url,
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': message.method,
      'mcp-name': tool,
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...message, params: { ...message.params, _meta } }),
    cpuMs,
  };
}
