import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as afterIo } from 'node:timers/promises';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { Webhook as Signer } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Claim } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { deliveryDelayMs, type Outbox, type Webhook } from '../src/domain/webhook.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { Deliveries } from '../src/pipeline/deliver-webhooks.ts';
import { newWebhookSecret } from '../src/pipeline/sign-delivery.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { type Received, startFarEnd } from './support/http-far-end.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';
import { progress } from './support/progress.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-deliveries-'));
let deps: TestDeps;
let engines: Engines;
let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await openTestPostgres();
  deps = await createTestDeps({ name: 'agent-gateway' });
  engines = await createEngines();
});
afterAll(async () => {
  await engines.close();
  await postgres.close();
  await deps.close();
  rmSync(folder, { recursive: true });
});

const stores: Readonly<Record<string, () => Promise<Journal>>> = {
  SQLite: () => openSqliteJournal(join(folder, `${crypto.randomUUID()}.sqlite`)),
  PostgreSQL: () => postgres.openJournal(),
};

/** A journal with runs that announce numbered events, as their worker would. */
async function openRuns(store: string, ids: readonly string[]) {
  const journal = await (stores[store] as () => Promise<Journal>)(); // one of its own keys
  const definition = await engines.read({
    document: { dsl: '1.0.3', namespace: 'test', name: 'told', version: '1.0.0' },
    do: [{ a: { set: { done: true } } }],
  });
  await journal.putDefinition({ hash: definition.workflow.hash, document: definition.document }, 1);
  for (const id of ids) await journal.createRun(runOf(definition, { id, input: {}, atMs: 1 }));
  const claims = await journal.claim({ owner: 'test', nowMs: 10, leaseMs: 1e12, limit: 10 });
  const positions = new Map(ids.map(id => [id, 1]));
  return {
    journal,
    async announce(id: string, text: string, atMs: number) {
      const claim = claims.find(each => each.runId === id) as Claim; // all were claimed
      const position = positions.get(id) ?? 0;
      positions.set(id, position + 1);
      const event = { type: 'run-started', traceparent: '' } as const;
      await journal.append({
        claim,
        position,
        records: [{ kind: event.type, payload: JSON.stringify(event), atMs }],
        progress,
        atMs,
        isFinal: false,
        announce: [{ specversion: '1.0', id: text, source: id, type: 'said' }],
      });
    },
  };
}

/** Time stands while something is on its way: a busy machine must not make leases run out. */
function watch(outbox: Outbox) {
  let underWay = 0;
  const counted = async <Value>(work: Promise<Value>, after: (value: Value) => number): Promise<Value> => {
    underWay++;
    const value = await work;
    underWay += after(value) - 1;
    return value;
  };
  const watched: Outbox = {
    ...outbox,
    removeOld: options => counted(outbox.removeOld(options), () => 0),
    trim: options => counted(outbox.trim(options), () => 0),
    claim: options => counted(outbox.claim(options), claimed => claimed.length),
    settle: (...settled) => counted(outbox.settle(...settled), () => -1),
  };
  return {
    watched,
    async quiet() {
      do await afterIo();
      while (underWay > 0);
    },
  };
}

function startTelling(
  outbox: Outbox,
  clock: ReturnType<typeof createManualClock>,
  { attempts = 40, privateHosts = ['127.0.0.1'], mostKept = 1000 } = {},
) {
  const deliveries = new Deliveries({
    outbox,
    dialer: deps.dialer,
    sealer: deps.sealer,
    clock,
    log: deps.telemetry.log,
    random: () => 0,
    isUsable: async () => true,
    runWithEvent: async () => ({ type: 'dropped' }),
    settings: () => ({
      allowedHosts: ['*'],
      privateHosts,
      timeoutMs: 10_000,
      attempts,
      keepMs: 7 * 86_400_000,
      mostKept,
      concurrency: 8,
    }),
  });
  return deliveries;
}

const webhookAt = (url: string) => {
  const { shown, kept } = newWebhookSecret(deps.sealer);
  const webhook: Webhook = {
    id: 'webhook_1',
    tenant: 'default',
    owner: { tenant: 'default', principal: 'p', keyId: undefined, workflows: ['*'] },
    url,
    description: '',
    types: ['*'],
    secrets: [kept],
    isPaused: false,
    createdAtMs: 1,
  };
  return { webhook, secret: shown };
};

const idOf = (body: string) => (JSON.parse(body) as { id: string }).id;

/** Not bound to the time of this machine, as the library's own check is: the clock is a manual one. */
function isSigned({ headers, body }: Received, secret: string): boolean {
  const [id, at] = [String(headers['webhook-id']), Number(headers['webhook-timestamp'])];
  return headers['webhook-signature'] === new Signer(secret).sign(id, new Date(at * 1000), body);
}

describe.each(Object.keys(stores))('%s', store => {
  test('[8.4-13] [F86] a receiver that was away for ten minutes is told everything, signed, in order for each run, and is not stormed meanwhile', async () => {
    const clock = createManualClock();
    const upAtMs = clock.now() + 600_000;
    const told: Received[] = [];
    const farEnd = await startFarEnd((request, response) => {
      if (clock.now() >= upAtMs) told.push(request);
      response.writeHead(clock.now() >= upAtMs ? 200 : 503).end('{"secret":"of the receiver"}');
    });
    const runs = ['run_a', 'run_b', 'run_c'];
    const { journal, announce } = await openRuns(store, runs);
    const { webhook, secret } = webhookAt(farEnd.url);
    await journal.outbox.put(webhook);
    for (let n = 0; n < 5; n++) for (const id of runs) await announce(id, `${id}-${n}`, clock.now());
    const { watched, quiet } = watch(journal.outbox);
    const deliveries = startTelling(watched, clock);
    while (told.length < 15) {
      await clock.advance(1000);
      await quiet();
    }
    for (const id of runs) {
      const own = told.map(({ body }) => idOf(body)).filter(each => each.startsWith(id));
      expect(own).toEqual([0, 1, 2, 3, 4].map(n => `${id}-${n}`));
    }
    expect(farEnd.received.filter(each => !isSigned(each, secret))).toEqual([]);
    const idsOf = (requests: readonly Received[]) =>
      new Set(requests.map(({ headers, body }) => `${headers['webhook-id']} ${idOf(body)}`));
    expect(idsOf(farEnd.received), 'the same id at each attempt').toEqual(idsOf(told));
    // 5, 10, 20 … 320 s between the attempts, three runs at a time at most; not one a second.
    expect(farEnd.received.length - told.length).toBeLessThan(40);
    const standing = async () => journal.outbox.get('default', 'webhook_1');
    expect(await standing()).toMatchObject({ failures: 0, problem: undefined, waiting: 0, dead: 0 });
    await deliveries.stop();
    await journal.close();
    await farEnd.close();
  });

  test('[8.4-13] a webhook that is deleted is told nothing more of what it had missed', async () => {
    const clock = createManualClock();
    const farEnd = await startFarEnd((_, response) => void response.writeHead(503).end());
    const { journal, announce } = await openRuns(store, ['run_a']);
    await journal.outbox.put(webhookAt(farEnd.url).webhook);
    for (let n = 0; n < 5; n++) await announce('run_a', `run_a-${n}`, clock.now());
    const { watched, quiet } = watch(journal.outbox);
    const deliveries = startTelling(watched, clock);
    while (farEnd.received.length < 2) {
      await clock.advance(1000);
      await quiet();
    }
    expect(await journal.outbox.delete('default', 'webhook_1')).toBe(true);
    const asked = farEnd.received.length;
    await announce('run_a', 'late', clock.now());
    for (let minute = 0; minute < 90; minute++) {
      await clock.advance(60_000);
      await quiet();
    }
    expect(farEnd.received).toHaveLength(asked);
    expect(await journal.outbox.get('default', 'webhook_1')).toBeUndefined();
    await deliveries.stop();
    await journal.close();
    await farEnd.close();
  });

  test('[8.4-13] [S-3] an address that leads inside is not asked, however it came to be kept', async () => {
    const clock = createManualClock();
    const farEnd = await startFarEnd((_, response) => void response.writeHead(200).end());
    const { journal, announce } = await openRuns(store, ['run_a']);
    await journal.outbox.put(webhookAt(farEnd.url.replace('http:', 'https:')).webhook);
    await announce('run_a', 'only', clock.now());
    const { watched, quiet } = watch(journal.outbox);
    const deliveries = startTelling(watched, clock, { attempts: 2, privateHosts: [] });
    const dead = () => journal.outbox.dead({ webhook: 'webhook_1', after: 0, limit: 5 });
    while ((await dead()).length === 0) {
      await clock.advance(1000);
      await quiet();
    }
    expect(await dead()).toMatchObject([{ event: { id: 'only' }, tries: 2 }]);
    expect(farEnd.received).toEqual([]);
    await deliveries.stop();
    await journal.close();
    await farEnd.close();
  });

  test('an event that cannot be delivered is put aside after its attempts, and the next of its run arrives', async () => {
    const clock = createManualClock();
    const told: string[] = [];
    const farEnd = await startFarEnd(({ body }, response) => {
      told.push(idOf(body));
      response.writeHead(idOf(body) === 'poison' ? 422 : 200).end();
    });
    const { journal, announce } = await openRuns(store, ['run_a']);
    await journal.outbox.put(webhookAt(farEnd.url).webhook);
    for (const text of ['first', 'poison', 'last']) await announce('run_a', text, clock.now());
    const { watched, quiet } = watch(journal.outbox);
    const deliveries = startTelling(watched, clock, { attempts: 3 });
    while (!told.includes('last')) {
      await clock.advance(1000);
      await quiet();
    }
    expect(told).toEqual(['first', 'poison', 'poison', 'poison', 'last']);
    expect(await journal.outbox.dead({ webhook: 'webhook_1', after: 0, limit: 5 })).toMatchObject([
      { event: { id: 'poison' }, tries: 3, problem: 'It answered 422.' },
    ]);
    await clock.advance(8 * 86_400_000); // all is forgotten after a week
    while ((await journal.outbox.get('default', 'webhook_1'))?.dead !== 0) {
      await clock.advance(60_000);
      await quiet();
    }
    await deliveries.stop();
    await journal.close();
    await farEnd.close();
  });
});

test('the wait between attempts doubles to an hour, or is what the receiver asks for', () => {
  expect([1, 2, 3, 10, 40].map(tries => deliveryDelayMs(tries, 0))).toEqual([
    5000, 10_000, 20_000, 2_560_000, 3_600_000,
  ]);
  expect(deliveryDelayMs(1, 1)).toBe(6250);
  expect(deliveryDelayMs(1, 0, 60_000)).toBe(60_000);
  expect(deliveryDelayMs(1, 0, 999_999_999)).toBe(3_600_000);
});
