import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventsOf, type RecordedStream, recordStreams } from './conformance/record-streams.ts';
import { type Ingress, ingresses } from './conformance/requests.ts';
import { upstreams } from './conformance/upstreams.ts';
import { type RunningGateway, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';

/** A client that leaves after each event of a stream: every ingress, over the same protocol, another one, and a binary one. */

const prompt = '[[think: Two cities.]][[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]';

let upstream: FakeUpstream;
let gateway: RunningGateway;
let recordings: ReadonlyMap<string, RecordedStream>;
const warnings: Error[] = [];
const keepWarning = (warning: Error) => warnings.push(warning);

beforeAll(async () => {
  process.on('warning', keepWarning);
  recordings = await recordStreams(prompt);
  upstream = await startFakeUpstream({ plan: [] });
  const prices = { input: '1', output: '2', cache_read: '0.1', cache_write: '1', cache_write_1h: '2' };
  gateway = await startGateway({
    keepsRecords: false,
    shared: {
      budgets: [
        { name: 'all', tenant: 'acme', subject: 'organisation:acme', window: 'total', limit_usd: '1000' },
      ],
    },
    section: {
      providers: Object.fromEntries(
        upstreams.map(({ name, provider }) => [
          name,
          { api_key: 'sk-provider', allow_private: true, ...provider(upstream.url) },
        ]),
      ),
      models: Object.fromEntries(
        upstreams.map(({ name, thinkingModel }) => [
          name,
          { targets: [{ provider: name, model: thinkingModel, prices }] },
        ]),
      ),
    },
  });
});
afterAll(async () => {
  process.off('warning', keepWarning);
  await gateway.close();
  await upstream.close();
});

const ledger = () => gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();

/** Leaves once the upstream has sent what the plan says. Returns how long the upstream took to see it. */
async function leaveAfter(
  ingress: Ingress,
  model: string,
  sent: Buffer,
  contentType: string,
): Promise<number> {
  const plan: Plan = [
    { op: 'headers', headers: { 'content-type': contentType } },
    ...(sent.length > 0 ? [{ op: 'write', bytes: sent } as const] : []),
    { op: 'stall' },
  ];
  upstream.use(plan);
  const exchange = upstream.requests.length + 1;
  const client = new RawClient(gateway);
  client.send(ingress.body(model, 'x'), ingress.path(model));
  const request = await upstream.requestReceived(exchange);
  await request.until(each => each.bodyBytesSent >= sent.length);
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve));
  const started = performance.now();
  client.socket.resetAndDestroy();
  const { end } = await upstream.closed(exchange);
  expect(end?.how).toMatch(/^client-/);
  expect(upstream.requests).toHaveLength(exchange); // nothing is tried again
  return performance.now() - started;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
}

describe.each(ingresses.map(each => [each.name, each] as const))('%s', (_name, ingress) => {
  const translated = ingress.protocol === 'anthropic-messages' ? 'gemini' : 'anthropic-messages';
  const names = new Set([ingress.protocol, translated, 'bedrock-converse']);

  test.each([...names])(
    '[I10] [AI-4] [F43] a client that leaves after any event from %s stops the upstream, and is settled once',
    async name => {
      const recording = recordings.get(name);
      if (recording === undefined) throw new Error(`no recording of ${name}`);
      const events = eventsOf(recording);
      const known = new Set((await ledger()).map(entry => entry.id));
      const timers = countTimers();
      const tookMs: number[] = [];
      for (let count = 0; count < events.length; count++) {
        const sent = Buffer.concat(events.slice(0, count));
        tookMs.push(await leaveAfter(ingress, name, sent, recording.contentType));
      }
      // A busy machine may hold up any one of them, but not most.
      expect(medianOf(tookMs)).toBeLessThan(100);
      await upstream.allConnectionsClosed();
      await gateway.deps.ledger.flush();
      const entries = (await ledger()).filter(entry => !known.has(entry.id));
      expect(entries).toHaveLength(events.length);
      for (const { outcome, usage_source } of entries)
        expect({ outcome, usage_source }).toEqual({ outcome: 'cancelled', usage_source: 'estimated' });
      const costs = (await ledger()).reduce((sum, entry) => sum + BigInt(entry.cost_nano_usd ?? 0), 0n);
      const totals = await gateway.deps.budgets.store.totals('config:all');
      expect(totals).toMatchObject({ spentNanoUsd: costs, lostNanoUsd: 0n });
      expect(countTimers()).toBeLessThanOrEqual(timers + 2);
      expect(warnings).toEqual([]);
    },
    60_000,
  );
});
