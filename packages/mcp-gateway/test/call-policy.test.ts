import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf, openRawClient, type RawClient, resultText } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** What the operator says about single tools: what may be done twice, how often they may be called, what they cost. */
let gateway: TestGateway;
let client: RawClient;
let folder: string;

const scripted = { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-policy-'));
  gateway = await startGateway({
    servers: {
      plain: scripted,
      safe: { ...scripted, retry_tools: ['crash-on*'] },
      trusted: { ...scripted, trust_annotations: true },
      limited: {
        ...scripted,
        tool_limits: { never: { concurrent: 1 }, 'p*': { per_minute: 2 } },
        tool_prices_usd: { pid: '0.005', fail: '0.001', crash: '1' },
      },
    },
    streams: { stream_after_ms: 5000 },
  });
  client = await openRawClient(gateway);
});

afterAll(async () => {
  await gateway?.close();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ['plain', 'crash-once', 'lost'],
  ['plain', 'crash-once-annotated', 'lost'],
  ['trusted', 'crash-once', 'lost'],
  ['trusted', 'crash-once-annotated', 'survived'],
  ['safe', 'crash-once', 'survived'],
])('a call that was lost under way: %s__%s is %s', async (server, tool, outcome) => {
  const file = join(folder, `${server}-${tool}`);
  const [answer] = await client.call('1', `${server}__${tool}`, { file });
  if (outcome === 'survived') expect(resultText(answer)).toBe('survived');
  else expect(errorOf(answer)?.data).toMatchObject({ reason: 'server_gone', retryable: true });
});

test('a tool is called by so many at a time, and so often a minute by each principal', async () => {
  const hanging = new AbortController();
  const never =
    '{"jsonrpc":"2.0","id":"hang","method":"tools/call","params":{"name":"limited__never","arguments":{}}}';
  const running = client.post(never, { signal: hanging.signal }).catch(() => undefined);
  let refused = errorOf((await client.call('1', 'limited__never', { delayMs: 1 }))[0]);
  expect(refused?.data).toMatchObject({ reason: 'concurrency_exceeded', retryable: true });
  await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"hang"}}');
  await running;
  const pids = [await client.call('1', 'limited__pid'), await client.call('2', 'limited__pid')];
  for (const [answer] of pids) expect(resultText(answer)).toMatch(/^\d+$/);
  refused = errorOf((await client.call('3', 'limited__pid'))[0]);
  expect(refused?.data).toMatchObject({ reason: 'rate_limit_exceeded' });
  const other = await openRawClient(gateway, { key: await gateway.createKey('somebody-else') });
  expect(resultText((await other.call('1', 'limited__pid'))[0])).toMatch(/^\d+$/);
});

test('[$-3] calls of a tool with a price are booked once, and one that was lost not as if it were known', async () => {
  await client.call('1', 'limited__fail');
  await client.call('2', 'limited__crash');
  await client.call('3', 'limited__echo');
  const entries = await gateway.ledger();
  const costs = entries.map(({ model, outcome, cost_nano_usd: cost }) => [
    model,
    outcome,
    cost === null ? null : Number(cost),
  ]);
  expect(costs).toContainEqual(['pid', 'ok', 5_000_000]);
  expect(costs).toContainEqual(['fail', 'tool_error', 1_000_000]);
  expect(costs).toContainEqual(['crash', 'failed', null]);
  expect(costs.filter(([model]) => model === 'pid')).toHaveLength(3);
  expect(costs.some(([model]) => model === 'echo')).toBe(false);
});
