import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { freePort } from '@strata/shared/testing/private-server.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient } from './modern-client.ts';
import { eventsOf, headersFor, openRawClient } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** Two servers with the same resources behind two gateways: a name has to mean the same at both. */
let folder: string;
let left: EverythingServer;
let right: EverythingServer;
let one: TestGateway;
let two: TestGateway;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-names-'));
  left = await startEverythingServer('legacy');
  right = await startEverythingServer('legacy');
  const http = { type: 'streamable-http', allow_private: true, era: 'legacy' };
  const hot = createMemoryHot(systemClock);
  const start = async () => {
    const port = await freePort();
    const section = {
      listen: { port, drain_timeout_ms: 1500 },
      replicas: { url: `http://127.0.0.1:${port}` },
      servers: { left: { ...http, url: left.url }, right: { ...http, url: right.url } },
    };
    return startGateway(section, { hot, dataDir: folder });
  };
  one = await start();
  two = await start();
});

afterEach(async () => {
  await Promise.all([one?.close(), two?.close()]);
  await Promise.all([left?.close(), right?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

test('[resource URIs] a subscription keeps the name its client gave it at the replica that takes the session over', async () => {
  const client = await openRawClient(one);
  const uri = 'left+test://watched-resource';
  await client.ask('{"jsonrpc":"2.0","id":1,"method":"resources/list"}');
  const subscribe = { jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params: { uri } };
  await client.ask(JSON.stringify(subscribe));
  await one.close();

  const headers = {
    ...headersFor({ ...two, userKey: one.userKey }),
    'mcp-session-id': client.sessionId,
    'mcp-protocol-version': '2025-11-25',
  };
  const stop = new AbortController();
  const stream = await fetch(two.url, {
    headers: { ...headers, accept: 'text/event-stream' },
    signal: stop.signal,
  });
  const call = { jsonrpc: '2.0', id: 3, method: 'tools/call' };
  const trigger = JSON.stringify({ ...call, params: { name: 'left__test_trigger_resource_update' } });
  await (await fetch(two.url, { method: 'POST', headers, body: trigger })).text();
  let updated: unknown;
  for await (const { data } of eventsOf(stream)) {
    const { method, params } = JSON.parse(data === '' ? '{}' : data);
    if (method !== 'notifications/resources/updated') continue;
    updated = params.uri;
    break;
  }
  stop.abort();
  expect(updated).toBe(uri);
});

test('[resource URIs] a resource that no list names has one name at every replica, in whichever order servers gave it', async () => {
  const namesAt = async (gateway: TestGateway, servers: readonly string[]) => {
    const client = createModernClient({ ...gateway, userKey: one.userKey });
    const names: Record<string, unknown> = {};
    for (const server of servers) {
      const name = `${server}__test_prompt_with_embedded_resource`;
      const { messages } = await client.ask('1', 'prompts/get', {
        name,
        arguments: { resourceUri: 'test://of-nobody' },
      });
      names[server] = JSON.parse(messages.at(-1) ?? '{}').result.messages[0].content.resource.uri;
    }
    return names;
  };
  const expected = { left: 'left+test://of-nobody', right: 'right+test://of-nobody' };
  expect(await namesAt(one, ['left', 'right'])).toEqual(expected);
  expect(await namesAt(two, ['right', 'left'])).toEqual(expected);
});
