import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { inOrder, type Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ingresses, wholeOf } from './conformance/requests.ts';
import { upstreams } from './conformance/upstreams.ts';
import { type RunningGateway, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';

/** A client that leaves before there is a stream, in every protocol, whole and streamed. */

let upstream: FakeUpstream;
let gateway: RunningGateway;
/** Takes connections and never says a word of TLS. */
let silent: Server;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  silent = createServer(socket => socket.on('error', () => {}).resume());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number }; // it listens on a port
  const account = { api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        ...Object.fromEntries(
          upstreams.map(({ name, provider }) => [name, { ...account, ...provider(upstream.url) }]),
        ),
        silent: { type: 'anthropic', base_url: `https://127.0.0.1:${port}`, ...account },
      },
      models: {
        ...Object.fromEntries(
          upstreams.map(({ name, thinkingModel }) => [
            name,
            { targets: [{ provider: name, model: thinkingModel }] },
          ]),
        ),
        silent: { targets: [{ provider: 'silent', model: 'm' }] },
      },
      attempts: { max_wait_ms: 60_000 },
      breaker: { failures: 1000 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  silent.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

const json = { op: 'headers', headers: { 'content-type': 'application/json' } } as const;
const half = { op: 'write', bytes: '{"a":' } as const;

/** Where the upstream falls silent, and how many bytes it has sent by then. */
const phases: readonly (readonly [string, Plan])[] = [
  ['before the head of the answer', [{ op: 'stall' }]],
  ['inside the head', [{ op: 'raw', bytes: 'HTTP/1.1 200 OK\r\ncontent-' }, { op: 'stall' }]],
  ['inside a whole answer', [json, half, { op: 'stall' }]],
  ['inside an error answer', [{ op: 'status', status: 500 }, json, half, { op: 'stall' }]],
];

const asked = ingresses.flatMap(each => [
  { name: `${each.name}, streamed`, ingress: each },
  ...(each.name === 'gemini as a JSON array'
    ? []
    : [{ name: `${each.name}, whole`, ingress: wholeOf(each) }]),
]);

/** Resolves when what is under way in this process has been done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve));
}

describe.each(asked.map(each => [each.name, each.ingress] as const))('%s', (_name, ingress) => {
  const other = ingress.protocol === 'anthropic-messages' ? 'openai-responses' : 'anthropic-messages';

  test.each(
    phases.flatMap(([phase, plan]) => [ingress.protocol, other].map(name => [phase, name, plan] as const)),
  )(
    '[I10] [AI-4] [F43] a client that leaves %s of %s stops it, and nothing is tried again',
    async (_phase, name, plan) => {
      upstream.use(plan);
      const exchange = upstream.requests.length + 1;
      const client = new RawClient(gateway);
      client.send(ingress.body(name, 'x'), ingress.path(name));
      await upstream.requestReceived(exchange);
      await settled();
      client.socket.resetAndDestroy();
      const { end } = await upstream.closed(exchange);
      expect(end?.how).toMatch(/^client-/);
      const records = await gateway.recorded(1);
      expect(records).toEqual([expect.objectContaining({ outcome: 'cancelled', failure: undefined })]);
      expect(upstream.requests).toHaveLength(exchange);
    },
  );

  test('[AI-4] [F43] a client that leaves while the connection is made does not wait for it', async () => {
    const connected = once(silent, 'connection');
    const client = new RawClient(gateway);
    client.send(ingress.body('silent', 'x'), ingress.path('silent'));
    const [connecting] = (await connected) as [Socket];
    const dropped = new Promise(resolve => connecting.once('close', resolve));
    client.socket.resetAndDestroy();
    await dropped; // long before its time to connect is over
    const records = await gateway.recorded(1);
    expect(records).toEqual([expect.objectContaining({ outcome: 'cancelled', failure: undefined })]);
  });

  test('[AI-4] [F43] a client that leaves between two attempts is not asked for again', async () => {
    const wait = jsonPlan({ error: {} }, { status: 503, headers: { 'retry-after': '30' } });
    upstream.use(inOrder(wait, [{ op: 'stall' }]));
    const exchange = upstream.requests.length + 1;
    const timers = countTimers();
    const client = new RawClient(gateway);
    client.send(ingress.body(other, 'x'), ingress.path(other));
    await gateway.recorded(1);
    await settled();
    client.socket.resetAndDestroy();
    await expect.poll(countTimers, { timeout: 20_000 }).toBeLessThanOrEqual(timers + 2);
    expect(upstream.requests).toHaveLength(exchange);
    expect(gateway.records).toEqual([expect.objectContaining({ outcome: 'failed' })]);
  });

  test('[F43] a client that leaves inside its own request asks nobody', async () => {
    const before = upstream.requests.length;
    const client = new RawClient(gateway);
    client.socket.write(
      `POST ${ingress.path(other)} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${gateway.key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":`,
    );
    await once(client.socket, 'connect');
    await settled();
    client.socket.resetAndDestroy();
    await settled();
    expect(upstream.requests).toHaveLength(before);
    expect(gateway.records).toEqual([]);
  });
});

function countTimers(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
}
