import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMissing, type PrivateServer } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient, textOf } from './modern-client.ts';
import { errorOf, headersFor, openRawClient, resultText } from './raw-client.ts';
import { type Replica, startReplica } from './replica.ts';
import { fixture, node, type TestGateway } from './start-gateway.ts';

/** Gateways as processes of their own on one Redis, and what they share through it besides sessions. */
let folder: string;
let redis: PrivateServer;
let server: EverythingServer;
let one: Replica;
let two: Replica;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-redis-'));
  const started = await startRedis();
  if (isMissing(started)) throw new Error(started.missing);
  redis = started;
  server = await startEverythingServer('legacy');
  [one, two] = await Promise.all([start(), start()]);
});

afterAll(async () => {
  for (const replica of [one, two]) replica?.process.kill('SIGKILL');
  await server?.close();
  await redis?.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(): Promise<Replica> {
  const section = {
    servers: {
      old: { type: 'streamable-http', url: server.url, allow_private: true },
      pipe: {
        type: 'stdio',
        command: [node, fixture('scripted-server.ts')],
        sharing: 'shared',
        tool_limits: { pid: { per_minute: 4 } },
      },
    },
    sessions: { max_per_principal: 5000 },
  };
  return startReplica({ folder, redisUrl: redis.url, section });
}

/** A replica as the holder of another replica's key sees it. */
const at = (replica: Replica): TestGateway => ({ ...replica.gateway, userKey: one.gateway.userKey });
const calls = () => server.requests.filter(method => method === 'tools/call').length;
const accept = { action: 'accept', content: { username: 'ann', email: 'a@b.c' } };

test('[MCP-6] a parked call of a server with sessions goes on from another process, and is told when its own was killed', async () => {
  const client = createModernClient(at(one), { capabilities: { elicitation: {} } });
  const before = calls();
  const parked = async (gateway: TestGateway, message: string) => {
    const { result } = await client.call('old__test_elicitation', { message }, {}, { gateway });
    const [key = ''] = Object.keys(result.inputRequests as object);
    return { inputResponses: { [key]: accept }, requestState: result.requestState };
  };
  const first = await parked(at(one), 'a');
  const done = await client.call('old__test_elicitation', { message: 'a' }, first, { gateway: at(two) });
  expect(textOf(done)).toContain('ann');
  const again = await client.call('old__test_elicitation', { message: 'a' }, first, { gateway: at(two) });
  expect(textOf(again)).toBe(textOf(done));

  const doomed = await start();
  const second = await parked(at(doomed), 'b');
  const third = await parked(at(two), 'c');
  doomed.process.kill('SIGKILL');
  const lost = await client.call('old__test_elicitation', { message: 'b' }, second, { gateway: at(one) });
  expect(lost.error).toMatchObject({ code: -32603, data: { reason: 'parked_call_gone', retryable: true } });
  const other = await client.call('old__test_elicitation', { message: 'c' }, third, { gateway: at(one) });
  expect(textOf(other)).toContain('ann');
  expect(calls()).toBe(before + 3);
});

test('a limit of a tool is one limit, whichever replica is called', async () => {
  const clients = await Promise.all([openRawClient(at(one)), openRawClient(at(two))]);
  const answers: string[] = [];
  for (let round = 0; round < 3; round++) {
    for (const client of clients) answers.push(String((await client.call('1', 'pipe__pid')).at(-1)));
  }
  const done = answers.filter(answer => /^\d+$/.test(resultText(answer)));
  const refused = answers.filter(answer => errorOf(answer)?.data?.reason === 'rate_limit_exceeded');
  expect([done.length, refused.length]).toEqual([4, 2]);
});

const reconnecting = sized({ ci: 200, soak: 1000 });

test('[F63] clients that lose their replica together are all served by another, within seconds and no session twice', async () => {
  const doomed = await start();
  const clients = await Promise.all(Array.from({ length: reconnecting }, () => openRawClient(at(doomed))));
  doomed.process.kill('SIGKILL');
  const startedMs = performance.now();
  const streams = await Promise.all(
    clients.map(async ({ sessionId }) => {
      const stop = new AbortController();
      const headers = { ...headersFor(at(two)), accept: 'text/event-stream', 'mcp-session-id': sessionId };
      const response = await fetch(two.gateway.url, { headers, signal: stop.signal });
      return { response, stop };
    }),
  );
  const tookMs = performance.now() - startedMs;
  console.info(`${reconnecting} clients came back within ${tookMs.toFixed(0)} ms`);
  expect(streams.map(({ response }) => response.status)).toEqual(streams.map(() => 200));
  expect(tookMs).toBeLessThan(sized({ ci: 60_000, soak: 10_000 }));
  // Whichever replica is asked now, it is the same session, on the one that took it.
  const asked = await Promise.all(
    clients.slice(0, 20).map(async ({ sessionId }, index) => {
      const gateway = index % 2 === 0 ? at(one) : at(two);
      const headers = { ...headersFor(gateway), 'mcp-session-id': sessionId };
      const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
      return (await fetch(gateway.url, { method: 'POST', headers, body })).status;
    }),
  );
  expect(asked).toEqual(asked.map(() => 200));
  for (const { stop } of streams) stop.abort();
});
