import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Effects, startEffects } from './support/effects.ts';
import { call, definitionOf } from './support/gateway.ts';

/** A real gateway process that dies at random moments, again and again, while runs are going. */

const kills = sized({ ci: 50, soak: 200 });
const seed = Number(process.env.STRATA_KILL_SEED ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'strata-kill-'));
const main = join(import.meta.dirname, '../src/main.ts');
/** Compiled code is kept between starts: what is tested is the dying, not the loading. */
const env = {
  ...process.env,
  STRATA_CONFIG: join(folder, 'strata.yaml'),
  NODE_COMPILE_CACHE: join(folder, 'compiled'),
};
let effects: Effects;
let key: string;
let gateway: ChildProcess | undefined;
let url = '';

beforeAll(async () => {
  effects = await startEffects({ maxDelayMs: 40, random });
  writeFileSync(
    env.STRATA_CONFIG,
    JSON.stringify({
      data_dir: folder,
      telemetry: { log_level: 'error' },
      agent_gateway: {
        listen: { port: 0 },
        http_calls: { private_hosts: ['127.0.0.1'] },
        engine: { first_retry_ms: 20, lease_ms: 1000, heartbeat_ms: 300 },
      },
    }),
  );
  const makeKey = join(import.meta.dirname, '../../shared/src/create-key.ts');
  key = execFileSync(process.execPath, [makeKey, '--name', 't', '--principal', 't'], {
    env,
    encoding: 'utf8',
  }).trim();
  await start();
  gateway?.kill('SIGTERM'); // the compiled code is written when a process ends by itself
  await once(gateway as ChildProcess, 'exit');
});

afterAll(async () => {
  gateway?.kill('SIGKILL');
  await effects.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  gateway = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const message = await Promise.race([once(gateway, 'message'), once(gateway, 'exit').then(() => undefined)]);
  if (message === undefined) throw new Error('The gateway did not start');
  url = (message[0] as { url: string }).url;
}

const effect = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: `${effects.url}/effect`, body: { n } },
  metadata: { gateway: { onInDoubt: 'retry' } },
});

/** Effects in a row, in a nested list, behind a choice and behind a timer; what comes out says that each ran on what the last gave. */
const workflow = () =>
  definitionOf([
    { start: { set: { n: '${ .n }' } } },
    { one: effect('${ .n }') },
    {
      choose: {
        switch: [{ big: { when: '${ .doubled > 5 }', then: 'nested' } }, { small: { then: 'nested' } }],
      },
    },
    { nested: { do: [{ two: effect('${ .doubled }') }, { three: effect('${ .doubled }') }] } },
    { pause: { wait: { milliseconds: 30 } } },
    { four: effect('${ .doubled }') },
    { finish: { set: { result: '${ .doubled }' } } },
  ]);

/** Submits until it is accepted, always under the same key: a lost answer must not make a second run. */
async function submit(number: number): Promise<string> {
  for (;;) {
    const answer = await call(url, key, {
      method: 'POST',
      path: '/v1/runs',
      body: { workflow: 'test/flow@1.0.0', input: { n: number } },
      headers: { 'idempotency-key': `run-${number}` },
    }).catch(() => undefined);
    if (answer !== undefined && answer.status < 300) return answer.body.id as string;
    if (answer !== undefined && answer.status < 500) throw new Error(JSON.stringify(answer.body));
    await sleep(20); // the gateway is being started again
  }
}

interface Row {
  readonly run_id: string;
  readonly payload: string;
}

/** Read beside the dead gateway: what it had made durable. */
function journal(): {
  runId: string;
  event: { type: string; key?: string; path?: string; visit?: number; call?: string };
}[] {
  const database = new DatabaseSync(join(folder, 'journal.sqlite'));
  try {
    const rows = database
      .prepare('select run_id, payload from journal order by run_id, seq')
      .all() as unknown as Row[];
    return rows.map(row => ({ runId: row.run_id, event: JSON.parse(row.payload) }));
  } finally {
    database.close();
  }
}

/** Keys of calls whose result is in the journal. */
function finishedKeys(): string[] {
  const keyOf = new Map<string, string>();
  const finished: string[] = [];
  for (const { runId, event } of journal()) {
    const name = `${runId} ${event.path} ${event.visit} ${event.call}`;
    if (event.type === 'call-started') keyOf.set(name, event.key ?? '');
    if (event.type === 'call-completed') finished.push(keyOf.get(name) ?? 'unknown');
  }
  return finished;
}

test(`[AG-1] [AG-4] ${kills} kill -9 at random moments: no run is lost, no finished task runs again (seed ${seed})`, async () => {
  await start();
  const stored = await call(url, key, {
    method: 'PUT',
    path: '/v1/workflows/test/flow/1.0.0',
    body: workflow(),
  });
  expect(stored.status).toBe(201);
  const accepted = new Map<number, string>();
  let submitting = true;
  const submitters = Array.from({ length: 6 }, async (_, lane) => {
    for (let number = lane; submitting; number += 6) {
      accepted.set(number, await submit(number));
      await sleep(random() * 60);
    }
  });

  for (let kill = 0; kill < kills; kill++) {
    await sleep(30 + random() * 300);
    const dead = gateway === undefined ? Promise.resolve() : once(gateway, 'exit');
    gateway?.kill('SIGKILL');
    await dead;
    for (const finished of finishedKeys()) effects.finished.add(finished);
    await start();
  }
  submitting = false;
  await Promise.all(submitters);

  for (const [number, id] of accepted) {
    const { body } = await call(url, key, { method: 'GET', path: `/v1/runs/${id}` });
    const run = body.status === 'completed' ? body : await ended(id);
    expect(run, `run ${number} ${id}`).toMatchObject({
      status: 'completed',
      output: { result: number * 16 },
    });
  }
  expect(effects.repeatedAfterFinish).toEqual([]);
  expect(new Set(accepted.values()).size).toBe(accepted.size);
  expect(accepted.size).toBeGreaterThan(kills / 2);

  const completions = new Map<string, number>();
  for (const { runId, event } of journal()) {
    if (event.type !== 'task-completed') continue;
    const name = `${runId} ${event.path} ${event.visit}`;
    completions.set(name, (completions.get(name) ?? 0) + 1);
  }
  expect([...completions].filter(([, times]) => times !== 1)).toEqual([]);
  const inDoubt = [...effects.byKey.values()].filter(times => times > 1).length;
  expect(inDoubt, 'the kills never met a call on its way, so they proved nothing').toBeGreaterThan(0);
}, 300_000);

test('[AG-1] a call that could do harm twice is not repeated after a crash: it waits for an operator, who says what became of it', async () => {
  const harmful = definitionOf([
    { act: { ...effect('${ .n }'), metadata: {} } },
    { finish: { set: { result: '${ .doubled }' } } },
  ]);
  const reached = effects.nextRequest();
  effects.holdAnswers = true;
  const submitted = await call(url, key, {
    method: 'POST',
    path: '/v1/runs',
    body: { definition: harmful, input: { n: 7 } },
  });
  const id = submitted.body.id as string;
  const effectKey = await reached;
  gateway?.kill('SIGKILL');
  await once(gateway as ChildProcess, 'exit'); // started by the test before
  effects.holdAnswers = false;
  await start();
  await reach(id, 'in_doubt');
  expect(effects.byKey.get(effectKey)).toBe(1);
  const wrong = await call(url, key, {
    method: 'POST',
    path: `/v1/runs/${id}:resolve`,
    body: { action: 'guess' },
  });
  expect(wrong.status).toBe(400);
  // What such a call cannot have given would leave a run that nobody can go on with.
  for (const result of [null, 5, [], { doubled: 14 }, { status: 99 }]) {
    const path = `/v1/runs/${id}:resolve`;
    const refused = await call(url, key, { method: 'POST', path, body: { action: 'complete', result } });
    expect([refused.status, refused.body.reason], JSON.stringify(result)).toEqual([400, 'request_invalid']);
  }
  await call(url, key, {
    method: 'POST',
    path: `/v1/runs/${id}:resolve`,
    body: {
      action: 'complete',
      result: { content: { doubled: 14 } },
    },
  });
  expect(await reach(id, 'completed')).toMatchObject({ output: { result: 14 } });
  expect(effects.byKey.get(effectKey)).toBe(1);
});

async function reach(id: string, status: string): Promise<unknown> {
  for (let tries = 0; tries < 1000; tries++) {
    const { body } = await call(url, key, { method: 'GET', path: `/v1/runs/${id}` });
    if (body.status === status) return body;
    await sleep(20);
  }
  throw new Error(`The run did not become ${status}`);
}

async function ended(id: string): Promise<{ status: string }> {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    const { body } = await call(url, key, { method: 'GET', path: `/v1/runs/${id}` });
    if (body.ended_at !== undefined || Date.now() > giveUpAt) return body;
    await sleep(50);
  }
}
