import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';
import { chatCompletion, chatCostNanoUsd, chatStream } from './recordings.ts';

/** Two targets asked at once for one answer, where a route wants that (F37). */

const afterMs = 500;
const silent: Plan = [{ op: 'stall' }];
const good = jsonPlan(chatCompletion);

let first: FakeUpstream;
let second: FakeUpstream;
let gateway: RunningGateway;
let clock: ManualClock;

beforeEach(async () => {
  first = await startFakeUpstream({ plan: silent });
  second = await startFakeUpstream({ plan: good });
});
afterEach(async () => {
  await gateway.close();
  await first.close();
  await second.close();
});

async function open(maxShare = 1): Promise<void> {
  clock = createManualClock();
  const account = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  const prices = { input: '1', output: '2', cache_read: '0.1' };
  gateway = await startGateway({
    clock,
    keepsRecords: false,
    shared: {
      budgets: [
        { name: 'all', tenant: 'acme', subject: 'organisation:acme', window: 'total', limit_usd: '1000' },
      ],
    },
    section: {
      providers: {
        one: { ...account, base_url: `${first.url}/v1` },
        two: { ...account, base_url: `${second.url}/v1` },
      },
      models: {
        chat: {
          hedge: { after_ms: afterMs, max_share: maxShare },
          targets: [
            { provider: 'one', model: 'a', prices },
            { provider: 'two', model: 'b', prices },
          ],
        },
      },
      attempts: { max_rounds: 1 },
    },
  });
}

const ask = (more: object = {}) => post(gateway, '/v1/chat/completions', chatRequest(more));

/** Everything that was booked, as provider and outcome, settled to what the ledger says. */
async function booked(): Promise<string[]> {
  await gateway.deps.ledger.flush();
  const entries = await gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();
  const costs = entries.reduce((sum, entry) => sum + BigInt(entry.cost_nano_usd ?? 0), 0n);
  const totals = await gateway.deps.budgets.store.totals('config:all');
  expect(totals).toMatchObject({ spentNanoUsd: costs, lostNanoUsd: 0n });
  return entries.map(({ outcome, provider }) => `${provider} ${outcome}`).sort();
}

test('[F37] [I10] the next target is asked when the first takes long; the other is called off at once, each is booked once', async () => {
  await open();
  const tookMs: number[] = [];
  for (let turn = 1; turn <= 3; turn++) {
    const asked = ask();
    const slow = await first.requestReceived(turn);
    await clock.advance(afterMs);
    const answer = await asked;
    const answeredAtMs = performance.now();
    await slow.until(each => each.end !== undefined);
    tookMs.push(performance.now() - answeredAtMs);
    expect(slow.end?.how).toMatch(/^client-/);
    expect(JSON.parse(answer.body.toString())).toEqual(chatCompletion);
    expect(answer.headers).toMatchObject({
      'x-strata-provider': 'two',
      'x-strata-attempts': '2',
      'x-strata-hedged': 'true',
      'x-strata-cost-nano-usd': String(chatCostNanoUsd),
    });
  }
  expect(Math.min(...tookMs)).toBeLessThan(100); // a busy machine may hold up some
  const each = (entry: string) => new Array<string>(3).fill(entry);
  await expect.poll(booked).toEqual([...each('one cancelled'), ...each('two answered')]);
});

test('[F37] the first may still be the one that answers', async () => {
  await open();
  const goOn = Promise.withResolvers<void>();
  first.use([{ op: 'waitFor', until: goOn.promise }, ...good]);
  second.use(silent);
  const asked = ask();
  await first.requestReceived(1);
  await clock.advance(afterMs);
  const other = await second.requestReceived(1);
  goOn.resolve();
  const answer = await asked;
  expect(answer.headers).toMatchObject({ 'x-strata-provider': 'one', 'x-strata-attempts': '1' });
  await other.until(each => each.end !== undefined);
  expect(other.end?.how).toMatch(/^client-/);
  await expect.poll(booked).toEqual(['one answered', 'two cancelled']);
});

test('[F37] nobody else is asked when the first answers in time, or the answer is a stream', async () => {
  await open();
  first.use(good);
  expect((await ask()).headers).toMatchObject({ 'x-strata-provider': 'one' });
  const goOn = Promise.withResolvers<void>();
  const stream = { op: 'write', bytes: chatStream } as const;
  first.use([{ op: 'waitFor', until: goOn.promise }, eventStreamHead, stream]);
  const asked = ask({ stream: true });
  await first.requestReceived(2);
  await clock.advance(afterMs * 2);
  goOn.resolve();
  expect((await asked).headers).toMatchObject({ 'x-strata-provider': 'one' });
  expect(second.requests).toHaveLength(0);
});

test('[F37] when both fail, the client learns of both; when the first fails, the second answers as ever', async () => {
  await open();
  const failure = jsonPlan({ error: { message: 'x' } }, { status: 500 });
  const goOn = Promise.withResolvers<void>();
  first.use([{ op: 'waitFor', until: goOn.promise }, ...failure]);
  second.use(failure);
  const asked = ask();
  await first.requestReceived(1);
  await clock.advance(afterMs);
  await second.closed(1);
  goOn.resolve();
  const { status, body } = await asked;
  expect(status).toBe(502);
  expect(JSON.parse(body.toString()).error.details.attempts).toHaveLength(2);

  first.use(failure);
  second.use(good);
  const answer = await ask();
  expect(answer.headers).toMatchObject({ 'x-strata-provider': 'two', 'x-strata-attempts': '2' });
  expect(answer.headers).not.toHaveProperty('x-strata-hedged');
});

test('[F37] no more than their share of the requests is asked twice', async () => {
  await open(0);
  for (const seconds of [1, 1]) {
    const before = first.requests.length;
    const goOn = Promise.withResolvers<void>();
    first.use([{ op: 'waitFor', until: goOn.promise }, ...good]);
    const asked = ask();
    await first.requestReceived(before + 1);
    await clock.advance(afterMs);
    if (before > 0) goOn.resolve();
    await asked;
    expect(second.requests).toHaveLength(seconds); // one at the start, then none
    goOn.resolve();
  }
});

test('[F37] [F43] a client that leaves stops both', async () => {
  await open();
  second.use(silent);
  const client = new RawClient(gateway);
  client.send(chatRequest());
  const slow = await first.requestReceived(1);
  await clock.advance(afterMs);
  const other = await second.requestReceived(1);
  client.socket.resetAndDestroy();
  for (const each of [slow, other]) {
    await each.until(({ end }) => end !== undefined);
    expect(each.end?.how).toMatch(/^client-/);
  }
  await expect.poll(booked).toEqual(['one cancelled', 'two cancelled']);
});
