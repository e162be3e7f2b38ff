import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { chatRequest, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';
import { chatCompletion, chatEvents, chatStream, chatStreamWithoutUsage } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  gateway = await startGateway({ section: sectionFor({ openai: upstream.url }) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

/** Leaves, and returns how long the upstream took to see it, without the time in which the machine let others run. */
async function leave(client: RawClient, exchange: number): Promise<number> {
  const stop = startWatch();
  client.socket.resetAndDestroy();
  const request = await upstream.closed(exchange);
  expect(request.end?.how).toMatch(/^client-/);
  return stop();
}

/** A turn of the loop that does nothing is short: where one takes longer, the process was held up. */
const longestTurnMs = 2;

function startWatch(): () => number {
  let spentMs = 0;
  let isOn = true;
  let last = performance.now();
  const turn = () => {
    const now = performance.now();
    spentMs += Math.min(now - last, longestTurnMs);
    last = now;
    if (isOn) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    isOn = false;
    return spentMs;
  };
}

test.each(chatEvents.map((_, index) => index).slice(1))(
  '[AI-4] [F43] a client that leaves after event %i stops the upstream within 100 ms, and the attempt is recorded once',
  async index => {
    const plan: Plan = [
      eventStreamHead,
      { op: 'write', bytes: chatEvents.slice(0, index + 1).join('') },
      { op: 'stall' },
    ];
    upstream.use(plan);
    const exchange = upstream.requests.length + 1;
    const client = new RawClient(gateway);
    client.send(chatRequest({ stream: true }));
    await client.until(chatEvents[index]?.trimEnd() ?? '');
    expect(await leave(client, exchange)).toBeLessThan(100);
    const records = await gateway.recorded(1);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ outcome: 'cancelled', failure: undefined });
  },
);

test.each<[string, Plan]>([
  ['before the head of the answer', [{ op: 'stall' }]],
  [
    'while the beginning of the stream is held',
    [eventStreamHead, { op: 'write', bytes: chatEvents[0] ?? '' }, { op: 'stall' }],
  ],
  [
    'in the middle of a whole answer',
    [
      { op: 'headers', headers: { 'content-type': 'application/json' } },
      { op: 'write', bytes: '{"a":' },
      { op: 'stall' },
    ],
  ],
  [
    'in the middle of an error answer',
    [
      { op: 'status', status: 500 },
      { op: 'headers', headers: { 'content-type': 'application/json' } },
      { op: 'write', bytes: '{"a":' },
      { op: 'stall' },
    ],
  ],
])(
  '[AI-4] [F43] a client that leaves %s stops the upstream within 100 ms, and nothing is tried again',
  async (_phase, plan) => {
    upstream.use(plan);
    const exchange = upstream.requests.length + 1;
    const client = new RawClient(gateway);
    client.send(chatRequest({ stream: true }));
    const request = await upstream.requestReceived(exchange);
    await request.until(each => plan.length === 1 || each.bodyBytesSent > 0);
    await new Promise(resolve => setImmediate(resolve));
    expect(await leave(client, exchange)).toBeLessThan(100);
    const records = await gateway.recorded(1);
    expect(records[0]).toMatchObject({ outcome: 'cancelled' });
    expect(upstream.requests).toHaveLength(exchange);
  },
);

test('[F43] after many clients have left, no socket, timer or listener is left behind', async () => {
  upstream.use([eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, 3).join('') }, { op: 'stall' }]);
  const before = countTimers();
  const clients = Array.from({ length: 30 }, () => new RawClient(gateway));
  for (const client of clients) client.send(chatRequest({ stream: true }));
  await Promise.all(clients.map(client => client.until('世界')));
  for (const client of clients) client.socket.destroy();
  await gateway.recorded(30);
  await upstream.allConnectionsClosed();
  expect(gateway.records).toHaveLength(30);
  expect(countTimers()).toBeLessThanOrEqual(before + 2);
});

function countTimers(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
}

test('[F45] on a kept connection, each of two requests in a row gets its own answer', async () => {
  upstream.use(request =>
    (request.json() as { stream?: boolean }).stream
      ? [eventStreamHead, { op: 'write', bytes: chatStream }]
      : jsonPlan(chatCompletion),
  );
  const client = new RawClient(gateway);
  client.send(chatRequest({ stream: true }));
  client.send(chatRequest());
  await client.until('chat.completion",');
  const streamAt = client.text.indexOf('text/event-stream');
  const doneAt = client.text.indexOf('data: [DONE]');
  const wholeAt = client.text.indexOf('"object":"chat.completion",');
  expect(streamAt).toBeGreaterThan(0);
  expect(doneAt).toBeGreaterThan(streamAt);
  expect(wholeAt).toBeGreaterThan(doneAt);
  client.socket.destroy();
});

test('[F44] a client that does not read holds the upstream back, and its memory stays bounded', async () => {
  const delta = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(4000) } }] })}\n\n`;
  upstream.use([eventStreamHead, { op: 'repeat', bytes: delta, times: 50_000 }]);
  const exchange = upstream.requests.length + 1;
  const client = new RawClient(gateway);
  client.socket.pause();
  client.send(chatRequest({ stream: true }));
  const request = await upstream.requestReceived(exchange);
  let sent = -1;
  while (sent !== request.bodyBytesSent) {
    sent = request.bodyBytesSent;
    await new Promise(resolve => setTimeout(resolve, 200)); // long enough for a busy machine to send more if it could
  }
  expect(sent).toBeLessThan(24 * 1024 * 1024); // what the kernel's buffers on two connections take
  expect(await leave(client, exchange)).toBeLessThan(1000);
});

test('[F44] a client that leaves what it was sent unread for too long is dropped, and its upstream stopped', async () => {
  const own = await startGateway({
    section: { ...sectionFor({ openai: upstream.url }), client_stall_ms: 300 },
  });
  const delta = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(4000) } }] })}\n\n`;
  upstream.use([eventStreamHead, { op: 'repeat', bytes: delta }]);
  const exchange = upstream.requests.length + 1;
  const client = new RawClient(own);
  client.socket.pause();
  client.send(chatRequest({ stream: true }));
  const { end } = await upstream.closed(exchange);
  expect(end?.how).toMatch(/^client-/);
  const [record] = await own.recorded(1);
  expect(record).toMatchObject({ outcome: 'cancelled', failure: undefined });
  client.socket.destroy();
  await own.close();
});

test('[F3] a stream that outlives the drain is ended by an error event of its protocol', async () => {
  const own = await startGateway({
    section: { ...sectionFor({ openai: upstream.url }), listen: { port: 0, drain_timeout_ms: 300 } },
  });
  upstream.use([eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, 2).join('') }, { op: 'stall' }]);
  const response = await fetch(`${own.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(chatRequest({ stream: true })),
  });
  const text = response.text();
  await own.drain();
  const sent = chatEvents.slice(0, 2).join('');
  expect((await text).startsWith(`${sent}data: {"error":`)).toBe(true);
  expect(await text).toContain('draining');
  await own.close();
});

test('[F5] a stream that ends within the drain is complete', async () => {
  const own = await startGateway({
    section: { ...sectionFor({ openai: upstream.url }), listen: { port: 0, drain_timeout_ms: 5000 } },
  });
  const rest = chatStream.slice(chatEvents.slice(0, 2).join('').length);
  upstream.use([
    eventStreamHead,
    { op: 'write', bytes: chatEvents.slice(0, 2).join('') },
    { op: 'stall', ms: 500 },
    { op: 'write', bytes: rest },
  ]);
  const response = await fetch(`${own.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(chatRequest({ stream: true })),
  });
  const draining = own.drain();
  expect(await response.text()).toBe(chatStreamWithoutUsage);
  await draining;
  await own.close();
});
