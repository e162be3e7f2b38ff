import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterEach, expect, test } from 'vitest';
import { rankOf } from '../src/domain/queue.ts';
import { startEffects } from './support/effects.ts';
import { definitionOf } from './support/gateway.ts';
import { type GatewayProcess, gatewayProcesses } from './support/gateway-process.ts';
import { openTestPostgres } from './support/postgres-journal.ts';

/** Two worker processes on queues with a limit, one of them killed again and again, and what the journals of all runs say afterwards. */

const kills = sized({ ci: 3, soak: 60 });
const runsOfQueue = sized({ ci: 16, soak: 240 });
const queues = [
  { name: 'one', limit: 1 },
  { name: 'three', limit: 3 },
] as const;
const seed = Number(process.env.STRATA_KILL_SEED ?? Date.now() % 1_000_000);
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const stores: Readonly<Record<string, () => Promise<Record<string, unknown> | undefined>>> = {
  SQLite: async () => undefined,
  async PostgreSQL() {
    const postgres = await openTestPostgres();
    opened.push(postgres);
    return { url: await postgres.server.createDatabase() };
  },
};

interface Shown {
  readonly type: string;
  readonly at: string;
  readonly task?: string;
  readonly key?: string;
}

interface Past {
  readonly id: string;
  readonly queue: string;
  readonly priority: number;
  readonly events: readonly Shown[];
}

const timeOf = ({ events }: Past, type: string) =>
  Date.parse(events.find(each => each.type === type)?.at ?? '');

/** The most that were between their begin and their end at one moment. */
function mostAtOnce(runs: readonly Past[]): number {
  const steps = runs.flatMap(run => [
    { atMs: timeOf(run, 'run-started'), by: 1 },
    { atMs: timeOf(run, 'run-completed'), by: -1 },
  ]);
  // The end lets in the next, within the same millisecond perhaps.
  steps.sort((one, other) => one.atMs - other.atMs || one.by - other.by);
  let now = 0;
  return Math.max(...steps.map(({ by }) => (now += by)));
}

function problemsOf({ id, events }: Past, times: ReadonlyMap<string, number>): string[] {
  const count = (type: string) => events.filter(each => each.type === type).length;
  const problems: string[] = [];
  if (count('task-completed') !== 4 || count('run-completed') !== 1)
    problems.push(`${id}: a task twice or not at all`);
  if (count('call-completed') !== 2) problems.push(`${id}: ${count('call-completed')} answers`);
  if (count('call-started') !== 2 + count('call-in-doubt'))
    problems.push(`${id}: a call began without a doubt`);
  const keys = new Set(events.flatMap(({ key }) => (key === undefined ? [] : [key])));
  const asked = [...keys].reduce((sum, key) => sum + (times.get(key) ?? 0), 0);
  if (asked > count('call-started'))
    problems.push(`${id}: ${asked} requests of ${count('call-started')} calls`);
  return problems;
}

test.each(Object.keys(stores))(
  `[AG-6] [F69] %s: ${kills} kill -9 on queues with a limit and priorities: no run is lost, nothing is done twice, no more at a time than may be, in their order, and every place is free again (seed ${seed})`,
  async store => {
    const random = seededRandom(seed);
    const folder = mkdtempSync(join(tmpdir(), 'strata-queue-kill-'));
    const database = await stores[store]?.();
    const effects = await startEffects({ maxDelayMs: 60, random });
    const processes = gatewayProcesses(folder, {
      ...(database !== undefined && { store: database }),
      section: {
        http_calls: { private_hosts: ['127.0.0.1'] },
        engine: { first_retry_ms: 20, lease_ms: 1500, heartbeat_ms: 300 },
      },
    });
    opened.push(effects, {
      async close() {
        await processes.close();
        rmSync(folder, { recursive: true, force: true });
      },
    });
    const http = await processes.start('http');
    const call = async (method: string, path: string, body?: unknown) => {
      const answer = await http.call(method, path, body === undefined ? {} : { body });
      expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
      return answer.body;
    };
    const effect = {
      call: 'http',
      with: { method: 'post', endpoint: `${effects.url}/effect`, body: { n: 1 } },
      metadata: { gateway: { onInDoubt: 'retry' } },
    };
    const submit = async (queue: (typeof queues)[number], priority: number) => {
      const definition = definitionOf([
        { first: effect },
        { breathe: { wait: { milliseconds: 1 } } },
        { last: effect },
      ]);
      const gateway = { priority, concurrency: { key: queue.name, limit: queue.limit } };
      const document = { ...definition.document, metadata: { gateway } };
      const body = await call('POST', '/v1/runs', { definition: { ...definition, document }, input: {} });
      return { id: body.id as string, queue: queue.name, priority };
    };
    // None begins before all are there, so that their order is known.
    for (const { name } of queues) await call('PUT', `/v1/queues/${name}`, { paused: true });
    const submitted: Omit<Past, 'events'>[] = [];
    for (let count = 0; count < runsOfQueue; count++)
      for (const queue of queues) submitted.push(await submit(queue, Math.floor(random() * 10)));
    const workers: GatewayProcess[] = [await processes.start('worker'), await processes.start('worker')];
    for (const { name } of queues) await call('POST', `/v1/queues/${name}:resume`, {});

    for (let kill = 0; kill < kills; kill++) {
      await sleep(100 + random() * 300);
      const victim = workers.shift();
      if (victim === undefined) break;
      const exit = once(victim.child, 'exit');
      victim.child.kill('SIGKILL');
      await exit;
      workers.push(await processes.start('worker'));
    }

    const runs: Past[] = [];
    for (const run of submitted) {
      const isOver = async () => (await call('GET', `/v1/runs/${run.id}`)).status;
      await expect.poll(isOver, { timeout: 240_000, interval: 100 }).toBe('completed');
      const lines = String(await call('GET', `/v1/runs/${run.id}/events`)).split('\n');
      const events = lines
        .filter(line => line.startsWith('data: {'))
        .map(line => JSON.parse(line.slice(6)) as Shown);
      runs.push({ ...run, events });
    }
    expect(runs.flatMap(run => problemsOf(run, effects.byKey))).toEqual([]);
    for (const { name, limit } of queues) {
      const own = runs.filter(({ queue }) => queue === name);
      expect(mostAtOnce(own), name).toBeLessThanOrEqual(limit);
      expect((await http.call('GET', `/v1/queues/${name}`)).status, 'nobody is in it').toBe(404);
    }
    const own = runs.filter(({ queue }) => queue === 'one');
    const begun = own.toSorted((one, other) => timeOf(one, 'run-started') - timeOf(other, 'run-started'));
    const ranks = begun.map(run => rankOf({ atMs: timeOf(run, 'run-created'), priority: run.priority }));
    expect(ranks).toEqual(ranks.toSorted((one, other) => one - other));
  },
  900_000,
);
