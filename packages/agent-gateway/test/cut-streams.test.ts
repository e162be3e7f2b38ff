import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SseReader } from '@strata/shared/http/sse.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Clients that follow a run through two gateways on one journal and are cut off a hundred times. */

const cuts = 100;
const seed = Number(process.env.STRATA_CUT_SEED ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'strata-cuts-'));
let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(async () => {
  await postgres.close();
  rmSync(folder, { recursive: true });
});

interface Seen {
  readonly id: number;
  readonly data: string;
}

/** Reads so many events and cuts the connection; fewer when the stream ends. */
async function readSome(
  gateway: TestGateway,
  { run, after, wanted }: { run: string; after: number; wanted: number },
): Promise<Seen[]> {
  const controller = new AbortController();
  const response = await fetch(`${gateway.url}/v1/runs/${run}/events`, {
    signal: controller.signal,
    headers: {
      authorization: `Bearer ${gateway.deps.userKey}`,
      ...(after > 0 && { 'last-event-id': String(after) }),
    },
  });
  if (response.status === 204) return [];
  expect(response.status).toBe(200);
  const reader = new SseReader();
  const seen: Seen[] = [];
  if (wanted > 0) {
    for await (const chunk of response.body ?? []) {
      for (const { id, data } of reader.push(chunk))
        if (id !== undefined) seen.push({ id: Number(id), data });
      if (seen.length >= wanted) break;
    }
  }
  controller.abort();
  return seen.slice(0, wanted);
}

/** A hundred turns with a breath between them: the run goes on while the client is cut off. */
const longRun = definitionOf([
  {
    turns: {
      for: { each: 'turn', in: '[range(120)]' },
      do: [{ note: { set: { turn: '${ $turn }' } } }, { breathe: { wait: { milliseconds: 10 } } }],
    },
  },
]);

async function followThrough(
  nodes: readonly [TestGateway, TestGateway],
  journal: (run: string) => Promise<readonly { seq: number; kind: string }[]>,
): Promise<void> {
  const random = seededRandom(seed);
  const { body } = await nodes[0].call('POST', '/v1/runs', { body: { definition: longRun } });
  const run = body.id as string;
  const all: Seen[] = [];
  let times = 0;
  for (; !all.at(-1)?.data.includes('"type":"run-completed"'); times++) {
    const node = random() < 0.5 ? nodes[0] : nodes[1];
    // Few enough that the hundredth cut comes before the end, some of them before anything was read.
    const wanted = times < cuts ? Math.floor(random() * 5) : 1000;
    all.push(...(await readSome(node, { run, after: all.length, wanted })));
  }
  expect(times).toBeGreaterThan(cuts);
  expect(all.map(({ id }) => id)).toEqual(all.map((_, index) => index + 1));
  const told = all.map(({ id, data }) => ({ seq: id, kind: (JSON.parse(data) as { type: string }).type }));
  expect(told).toEqual(await journal(run));
  for (const node of nodes) expect(await readSome(node, { run, after: 0, wanted: 10_000 })).toEqual(all);
}

async function twoNodes(config: {
  readonly store?: Record<string, unknown>;
  readonly section?: Record<string, unknown>;
}): Promise<{ nodes: [TestGateway, TestGateway]; close(): Promise<void> }> {
  const start = async () =>
    startGateway({
      deps: await createTestDeps({
        name: 'agent-gateway',
        ...(config.store && { config: { store: config.store } }),
      }),
      ...(config.section && { config: config.section }),
    });
  const nodes: [TestGateway, TestGateway] = [await start(), await start()];
  return {
    nodes,
    async close() {
      for (const node of nodes) {
        await node.close();
        await node.deps.close();
      }
    },
  };
}

const rowsText = 'select seq, kind from strata_agent.journal where run_id = $1 order by seq';

test(`[8.4-5] [AG-5] two nodes on SQLite: a client that is cut off ${cuts} times has read exactly the journal (seed ${seed})`, async () => {
  const path = join(folder, 'journal.sqlite');
  const { nodes, close } = await twoNodes({ section: { journal: { path } } });
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare(rowsText.replace('strata_agent.', '').replace('$1', '?'));
  await followThrough(nodes, async run =>
    rows.all(run).map(({ seq, kind }) => ({ seq: Number(seq), kind: String(kind) })),
  );
  database.close();
  await close();
}, 180_000);

test(`[8.4-5] [AG-5] two nodes on PostgreSQL: a client that is cut off ${cuts} times has read exactly the journal (seed ${seed})`, async () => {
  const url = await postgres.server.createDatabase();
  const { nodes, close } = await twoNodes({ store: { url, acquire_timeout_ms: 5000 } });
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  await followThrough(nodes, async run =>
    (await database.query<{ seq: string; kind: string }>(rowsText, [run])).rows.map(({ seq, kind }) => ({
      seq: Number(seq),
      kind,
    })),
  );
  await database.end();
  await close();
}, 180_000);
