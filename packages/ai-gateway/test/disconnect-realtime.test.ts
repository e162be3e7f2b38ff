import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type RunningGateway, startGateway } from './harness.ts';
import { FakeRealtime } from './support/fake-realtime.ts';

/** A client of a session that breaks off after any event (F43). */

const prices = { input: '4', cache_read: '0.4', output: '16', audio_input: '32', audio_output: '64' };
const usage = { total_tokens: 30, input_tokens: 20, output_tokens: 10 };

const answerOf = (id: string) => [
  { type: 'response.created', response: { id } },
  { type: 'response.output_item.added', item: { id: 'item_1' } },
  { type: 'response.output_text.delta', delta: 'Grüße' },
  { type: 'response.output_audio.delta', delta: 'AAAA' },
  { type: 'response.done', response: { id, status: 'completed', usage } },
];
/** Two answers, so that clients leave before, in and between them. */
const events = [...answerOf('resp_1'), ...answerOf('resp_2')];

const fake = new FakeRealtime();
let gateway: RunningGateway;

beforeAll(async () => {
  const upstream = await fake.start();
  gateway = await startGateway({
    keepsRecords: false,
    shared: {
      budgets: [
        { name: 'all', tenant: 'acme', subject: 'organisation:acme', window: 'total', limit_usd: '1000' },
      ],
    },
    section: {
      providers: {
        main: { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true, base_url: upstream },
      },
      models: { voice: { targets: [{ provider: 'main', model: 'gpt-realtime', prices }] } },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  fake.close();
});

const resources = (name: string) => process.getActiveResourcesInfo().filter(each => each === name).length;
const ledger = () => gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();

/** Leaves when it has heard so many events after `session.created`. Returns how long the upstream took to see it. */
async function leaveAfter(count: number): Promise<number> {
  const { host } = new URL(gateway.url);
  const socket = new WebSocket(`ws://${host}/v1/realtime?model=voice`, {
    headers: { authorization: `Bearer ${gateway.key}` },
  });
  let heard = 0;
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.on('message', () => {
      heard++;
      if (heard === 1)
        for (const event of events.slice(0, count)) fake.last.socket.send(JSON.stringify(event));
      if (heard === count + 1) resolve();
    });
  });
  const upstreamClosed = new Promise(resolve => fake.last.socket.once('close', resolve));
  const startedAtMs = performance.now();
  socket.terminate();
  await upstreamClosed;
  return performance.now() - startedAtMs;
}

test('[I10] [AI-4] [F43] a client that breaks off after any event stops the upstream; each answer is settled once, nothing is left', async () => {
  await leaveAfter(0); // what is opened once is open
  const before = { sockets: resources('TCPSocketWrap'), timers: resources('Timeout') };
  const tookMs: number[] = [];
  for (let count = 0; count <= events.length; count++) tookMs.push(await leaveAfter(count));
  expect(tookMs.toSorted((one, other) => one - other)[5]).toBeLessThan(100); // a busy machine may hold up some
  await expect.poll(() => resources('TCPSocketWrap')).toBeLessThanOrEqual(before.sockets);
  await expect.poll(() => resources('Timeout')).toBeLessThanOrEqual(before.timers + 2);

  await gateway.deps.ledger.flush();
  const entries = await ledger();
  // Each session pays for the answers that were begun: none in its first event, two after the last.
  const begun = events.map(
    (_, count) => events.slice(0, count + 1).filter(({ type }) => type === 'response.created').length,
  );
  expect(entries).toHaveLength(begun.reduce((sum, each) => sum + each, 0));
  const ended = entries.filter(({ outcome }) => outcome === 'answered').length;
  const done = events.map(
    (_, count) => events.slice(0, count + 1).filter(({ type }) => type === 'response.done').length,
  );
  expect(ended).toBe(done.reduce((sum, each) => sum + each, 0));
  const costs = entries.reduce((sum, entry) => sum + BigInt(entry.cost_nano_usd ?? 0), 0n);
  expect(await gateway.deps.budgets.store.totals('config:all')).toMatchObject({
    spentNanoUsd: costs,
    lostNanoUsd: 0n,
  });
});
