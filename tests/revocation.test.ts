import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { startThreeGateways, type ThreeGateways } from './three-gateways.ts';

/** A run that hangs at a model and at a tool, by way of three gateways: whoever stops it at one of them stops all of it. */

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface HangingServer {
  readonly url: string;
  /** A call of the tool has come and will not be answered. */
  readonly called: Promise<void>;
  /** Whoever called has left, or has said that it does not wait any more. */
  readonly stopped: Promise<void>;
  close(): Promise<void>;
}

/** A tool server (2025-11-25) whose one tool never answers. */
async function startHangingServer(): Promise<HangingServer> {
  const called = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const answer = (response: ServerResponse, id: unknown, result: object) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  };
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const { id, method } = JSON.parse(await text(request)) as { id?: unknown; method: string };
    const serverInfo = { name: 'hanging', version: '1' };
    if (method === 'initialize')
      return answer(response, id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo });
    if (method === 'tools/list')
      return answer(response, id, { tools: [{ name: 'never', inputSchema: { type: 'object' } }] });
    if (method === 'notifications/cancelled') stopped.resolve();
    if (method !== 'tools/call') return void response.writeHead(202).end();
    response.on('close', () => stopped.resolve());
    called.resolve();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    called: called.promise,
    stopped: stopped.promise,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const definition = {
  document: { dsl: '1.0.3', namespace: 'test', name: 'hanging', version: '1.0.0' },
  do: [
    {
      both: {
        fork: {
          branches: [
            {
              ask: {
                call: 'agent',
                with: { agent: 'helper', model: 'slow', input: '[[fault: hang]] Hello' },
              },
            },
            {
              use: {
                call: 'mcp',
                with: { method: 'tools/call', parameters: { name: 'it__never', arguments: {} } },
              },
            },
          ],
        },
      },
    },
  ],
};

interface Hanging {
  readonly stack: ThreeGateways;
  readonly simulator: Simulator;
  readonly tools: HangingServer;
  readonly runId: string;
  readonly key: string;
  readonly keyId: string;
}

async function startHangingRun(store: string): Promise<Hanging> {
  const simulator = await startSimulator();
  const tools = await startHangingServer();
  const url = store === 'PostgreSQL' && !isMissing(postgres) ? await postgres.createDatabase() : undefined;
  const stack = await startThreeGateways({
    shared: url === undefined ? {} : { store: { url } },
    ai: {
      providers: {
        main: {
          type: 'openai-compatible',
          base_url: `${simulator.url}/openai/v1`,
          api_key: 'simulator',
          allow_private: true,
        },
      },
      models: { slow: { targets: [{ provider: 'main', model: 'gpt-5-mini' }] } },
    },
    mcp: { servers: { it: { type: 'streamable-http', url: tools.url, allow_private: true } } },
  });
  opened.push(simulator, tools, stack);
  const key = await stack.deps['agent-gateway'].createKey({ principal: 'ada' });
  const [made] = await stack.deps['agent-gateway'].keys.list({
    tenant: 'default',
    principal: 'ada',
    limit: 1,
  });
  const submitted = await stack.call('POST', '/v1/runs', { body: { definition, input: {} }, key });
  expect(submitted.status, JSON.stringify(submitted.body)).toBe(202);
  await Promise.all([simulator.until(() => true), tools.called]);
  return { stack, simulator, tools, runId: submitted.body.id, key, keyId: made?.id ?? '' };
}

/** What stops it, asked of agent-gateway, and what the run is then. */
const ways: Readonly<Record<string, { stop(hanging: Hanging): Promise<unknown>; status: string }>> = {
  'the run is cancelled': {
    stop: ({ stack, runId, key }) => stack.call('POST', `/v1/runs/${runId}:cancel`, { body: {}, key }),
    status: 'cancelled',
  },
  'the run is terminated': {
    stop: ({ stack, runId, key }) => stack.call('POST', `/v1/runs/${runId}:terminate`, { body: {}, key }),
    status: 'terminated',
  },
  'the key is disabled': {
    stop: ({ stack, keyId }) => stack.deps['agent-gateway'].keys.disable(keyId),
    status: 'failed',
  },
  'the key is deleted at another gateway': {
    stop: ({ stack, keyId }) => stack.deps['ai-gateway'].keys.delete(keyId),
    status: 'failed',
  },
  'the principal is disabled': {
    stop: ({ stack }) =>
      stack.deps['mcp-gateway'].tree.change(
        { tenant: 'default', kind: 'principal', id: 'ada' },
        { isDisabled: true },
      ),
    status: 'failed',
  },
};

for (const store of ['SQLite', 'PostgreSQL']) {
  describe.skipIf(store === 'PostgreSQL' && isMissing(postgres))(`on ${store}`, () => {
    // The ways are the same code on both; what differs is how the processes hear of it.
    for (const [name, { stop, status }] of Object.entries(ways).slice(
      0,
      store === 'SQLite' ? undefined : 3,
    )) {
      test(`[A12] ${name}: its calls end at the model and at the tool, through three gateways`, async () => {
        const hanging = await startHangingRun(store);
        const { stack, simulator, tools, runId } = hanging;
        const startedMs = performance.now();
        await stop(hanging);
        await Promise.all([simulator.until(({ outcome }) => outcome === 'client-left'), tools.stopped]);
        const tookMs = performance.now() - startedMs;
        expect(tookMs).toBeLessThan(10_000); // one second, on a machine that does nothing else
        const run = async () => (await stack.call('GET', `/v1/runs/${runId}`)).body.status;
        await expect.poll(run, { timeout: 20_000 }).toBe(status);
        // Nothing goes on in any of them, and nothing is asked again.
        for (const { live } of Object.values(stack.deps))
          await expect
            .poll(() => live.callers().filter(({ principal }) => principal === 'ada').length, {
              timeout: 20_000,
            })
            .toBe(0);
        expect(simulator.requests).toHaveLength(1);
      });
    }
  });
}
