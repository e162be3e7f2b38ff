import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterEach, expect, test } from 'vitest';
import { startThreeGateways } from './three-gateways.ts';

/** A run that asks a model and uses a tool, as a collector of OpenTelemetry sees it: one tree over three gateways. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  opened.push({
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return `http://127.0.0.1:${port}`;
}

interface Span {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

interface Exported {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { key: string; value: { stringValue?: string } }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<Span, 'service'>[] }[];
  }[];
}

/** OTLP over HTTP (JSON), as any collector takes it. */
async function startCollector(): Promise<{ url: string; spans: Span[] }> {
  const spans: Span[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    response.setHeader('content-type', 'application/json').end('{}');
    if (request.url !== '/v1/traces') return;
    for (const { resource, scopeSpans } of (JSON.parse(body) as Exported).resourceSpans) {
      const name = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
      for (const scope of scopeSpans) spans.push(...scope.spans.map(span => ({ ...span, service: name })));
    }
  });
  return { url: await listen(server), spans };
}

/** A tool server (2025-11-25) that remembers the trace it was called in. */
async function startTools(): Promise<{ url: string; traceparents: unknown[] }> {
  const traceparents: unknown[] = [];
  const answer = (response: ServerResponse, id: unknown, result: object) =>
    response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const { id, method, params } = JSON.parse(await text(request)) as {
      id?: unknown;
      method: string;
      params?: { _meta?: { traceparent?: unknown } };
    };
    const serverInfo = { name: 'tools', version: '1' };
    if (method === 'initialize')
      return answer(response, id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo });
    if (method === 'tools/list')
      return answer(response, id, { tools: [{ name: 'look', inputSchema: { type: 'object' } }] });
    if (method !== 'tools/call') return void response.writeHead(202).end();
    traceparents.push(params?._meta?.traceparent ?? request.headers.traceparent);
    return answer(response, id, { content: [{ type: 'text', text: 'seen' }] });
  });
  return { url: `${await listen(server)}/mcp`, traceparents };
}

test('a run is one trace: its tasks, its calls, what both other gateways did for them, and the tool', async () => {
  const collector = await startCollector();
  const tools = await startTools();
  const simulator = await startSimulator();
  opened.push(simulator);
  const base_url = `${simulator.url}/openai/v1`;
  const stack = await startThreeGateways({
    shared: { telemetry: { log_level: 'silent', otlp_endpoint: collector.url } },
    ai: {
      providers: {
        main: { type: 'openai-compatible', base_url, api_key: 'simulator', allow_private: true },
      },
      models: { demo: { targets: [{ provider: 'main', model: 'gpt-5-mini' }] } },
    },
    mcp: { servers: { it: { type: 'streamable-http', url: tools.url, allow_private: true } } },
  });
  const tool = { method: 'tools/call', parameters: { name: 'it__look', arguments: {} } };
  const definition = {
    document: { dsl: '1.0.3', namespace: 'test', name: 'traced', version: '1.0.0' },
    do: [
      { ask: { call: 'llm', with: { model: 'demo', input: 'Hello' } } },
      { use: { call: 'mcp', with: tool } },
    ],
  };
  const submitted = await stack.call('POST', '/v1/runs?wait=30', { body: { definition, input: {} } });
  expect(submitted.body, JSON.stringify(submitted.body)).toMatchObject({ status: 'completed' });
  await stack.close(); // sends what was not sent

  const asks = collector.spans.filter(({ name }) => /chat/.test(name));
  const traceId = asks[0]?.traceId ?? '';
  const tree = collector.spans.filter(span => span.traceId === traceId);
  const byId = new Map(tree.map(span => [span.spanId, span]));
  const shown = tree.map(({ service, name, spanId, parentSpanId }) => ({
    service,
    name,
    spanId,
    parentSpanId,
  }));
  expect(byId.size).toBe(tree.length);
  expect(new Set(tree.map(({ service }) => service))).toEqual(
    new Set(['agent-gateway', 'ai-gateway', 'mcp-gateway']),
  );
  const roots = tree.filter(({ parentSpanId = '' }) => !byId.has(parentSpanId));
  expect(
    roots.map(({ service }) => service),
    JSON.stringify(shown, null, 1),
  ).toEqual(['agent-gateway']);
  // Nobody began the trace before: no span may name a parent that nobody finds.
  expect(roots.map(({ parentSpanId }) => parentSpanId ?? '')).toEqual(['']);
  // What another gateway did lies below what agent-gateway asked of it.
  for (const service of ['ai-gateway', 'mcp-gateway']) {
    const entries = tree.filter(
      span => span.service === service && byId.get(span.parentSpanId ?? '')?.service !== service,
    );
    expect(entries.length).toBeGreaterThan(0);
    for (const { parentSpanId = '' } of entries)
      expect(byId.get(parentSpanId)?.service).toBe('agent-gateway');
  }
  expect(tools.traceparents).toHaveLength(1);
  expect(String(tools.traceparents[0])).toContain(traceId);
});
