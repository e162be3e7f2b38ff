import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  chatRequest,
  post,
  type RawAnswer,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';
import { chatCompletion } from './recordings.ts';

/** A provider that becomes twenty times as slow, while more is asked of it than it can answer (F37). */

const workers = 8;
const healthyMs = 20;
const slowMs = healthyMs * 20;
/** What a client waits for at most: many times what a request takes that goes first. */
const patienceMs = 10_000;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let workMs: number;

beforeEach(async () => {
  workMs = healthyMs;
  upstream = await startFakeUpstream({ plan: workShop() });
  gateway = await startGateway({
    section: sectionFor(
      { openai: upstream.url },
      { concurrency: { initial: 32, min: workers, max_waiting: 40, max_wait_ms: 3000 } },
    ),
  });
});
afterEach(async () => {
  await gateway.close();
  await upstream.close();
});

/** So many at once, each for its time, the others in the order in which they came. */
function workShop(): () => Plan {
  const freeAtMs = new Array<number>(workers).fill(0);
  return () => {
    const nowMs = performance.now();
    const worker = freeAtMs.indexOf(Math.min(...freeAtMs));
    const doneAtMs = Math.max(nowMs, freeAtMs[worker] ?? 0) + workMs;
    freeAtMs[worker] = doneAtMs;
    return [{ op: 'stall', ms: doneAtMs - nowMs }, ...jsonPlan(chatCompletion)];
  };
}

interface Asked {
  readonly answer: RawAnswer;
  readonly tookMs: number;
}

async function ask(priority?: string): Promise<Asked> {
  const startedAtMs = performance.now();
  const headers = priority === undefined ? {} : { 'x-strata-priority': priority };
  const answer = await post(
    gateway,
    '/v1/chat/completions',
    chatRequest(),
    headers as Record<string, string>,
  );
  return { answer, tookMs: performance.now() - startedAtMs };
}

test('[F37] in a brown-out what people asked for goes through, and what can wait is refused first', async () => {
  for (let index = 0; index < 15; index++) await Promise.all(Array.from({ length: 8 }, () => ask()));

  workMs = slowMs; // 20 answers a second; people ask for 10 of them, and batches for 60
  const people: Promise<Asked>[] = [];
  const batches: Promise<Asked>[] = [];
  for (let tick = 0; tick < 60; tick++) {
    people.push(ask());
    for (let index = 0; index < 6; index++) batches.push(ask('batch'));
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  const [served, batched] = await Promise.all([Promise.all(people), Promise.all(batches)]);
  const inTime = served.filter(({ answer, tookMs }) => answer.status === 200 && tookMs < patienceMs);
  const refused = batched.filter(({ answer }) => answer.status === 503);
  const slowest = Math.max(...served.map(({ tookMs }) => tookMs));
  console.info(
    `people: ${inTime.length} of ${served.length}, the slowest after ${Math.round(slowest)} ms; batches: ${refused.length} of ${batched.length} refused`,
  );
  expect(inTime.length / served.length).toBeGreaterThanOrEqual(0.99);
  expect(refused.length).toBeGreaterThan(batched.length / 4);
  const [{ answer } = expect.fail()] = refused;
  expect(answer.headers['retry-after']).toBe('1');
  expect(JSON.parse(answer.body.toString()).error.code).toMatch(/^concurrency_/);
  expect(gateway.records.filter(({ failure }) => failure === 'transient')).toEqual([]);
});

test('[F37] when it is well again, it is used as before', async () => {
  workMs = slowMs;
  await Promise.all(Array.from({ length: 40 }, () => ask('batch')));
  workMs = healthyMs;
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(Array.from({ length: 16 }, () => ask('batch')));
    expect(answers.map(({ answer }) => answer.status)).toEqual(new Array(16).fill(200));
  }
});
