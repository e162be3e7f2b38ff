import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@strata/shared/clock.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Journal } from '../src/domain/journal.ts';
import { terminalStatuses } from '../src/domain/run-state.ts';
import type { Definition } from '../src/dsl/definitions.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Two who want the same thing at the same moment, on both stores. */

const seed = Number(process.env.STRATA_RACE_SEED ?? Date.now() % 1_000_000);
const claimedRuns = sized({ ci: 300, soak: 10_000 });
const cancelledRuns = sized({ ci: 60, soak: 3000 });
const folder = mkdtempSync(join(tmpdir(), 'strata-races-'));
let engines: Engines;
let definition: Definition;
let postgres: TestPostgres;

beforeAll(async () => {
  engines = await createEngines();
  postgres = await openTestPostgres();
  const call = { call: 'http', with: { method: 'get', endpoint: 'http://far.test/' } };
  definition = await engines.read(definitionOf([{ one: call }, { two: call }]));
});
afterAll(async () => {
  await engines.close();
  await postgres.close();
  rmSync(folder, { recursive: true });
});

let files = 0;
const stores: readonly [string, () => Promise<() => Promise<Journal>>][] = [
  [
    'SQLite',
    async () => {
      const file = join(folder, `journal-${files++}.sqlite`);
      return () => openSqliteJournal(file);
    },
  ],
  [
    'PostgreSQL',
    async () => {
      const url = await postgres.server.createDatabase();
      return () => postgres.openJournal(url);
    },
  ],
];

async function createRuns(journal: Journal, count: number): Promise<string[]> {
  const { hash } = definition.workflow;
  await journal.putDefinition({ hash, document: definition.document }, 0);
  const ids = Array.from({ length: count }, (_, index) => `run_${String(index).padStart(6, '0')}`);
  const atMs = systemClock.now();
  await Promise.all(ids.map(id => journal.createRun(runOf(definition, { id, input: {}, atMs }))));
  return ids;
}

test.each(stores)(
  `[AG-2] [F73] %s: of two who claim ${claimedRuns} runs at the same time one gets each`,
  async (_, open) => {
    const connect = await open();
    const journals = [await connect(), await connect()] as const;
    const ids = await createRuns(journals[0], claimedRuns);
    const claimed: string[] = [];
    const nowMs = systemClock.now();
    const lane = async (owner: string, journal: Journal) => {
      while (claimed.length < ids.length) {
        const claims = await journal.claim({ owner, nowMs, leaseMs: 3_600_000, limit: 3 });
        claimed.push(...claims.map(({ runId }) => runId));
      }
    };
    await Promise.all(
      ['a', 'b', 'c'].flatMap(name => journals.map((each, at) => lane(`${name}${at}`, each))),
    );
    expect(claimed.sort()).toEqual(ids);
    await Promise.all(journals.map(journal => journal.close()));
  },
  600_000,
);

test.each(stores)(
  `[F78] %s: ${cancelledRuns} cancels that race with the end leave one end each (seed ${seed})`,
  async (_, open) => {
    const journal = await (await open())();
    const random = seededRandom(seed);
    const worker = engines.worker({
      journal,
      clock: systemClock,
      effects: [
        {
          type: 'http',
          async perform(_request, { signal }) {
            await systemClock.sleep(random() * 4, signal);
            return { result: { status: 200, isProblem: false, headers: {}, content: {} } };
          },
        },
      ],
      random,
      owner: 'worker',
      leaseMs: 15_000,
      heartbeatMs: 5000,
      pollMs: 20,
    });
    const ids = await createRuns(journal, cancelledRuns);
    worker.start();
    const asked = { kind: 'cancel', payload: {}, by: 'p', atMs: 0 } as const;
    await Promise.all(
      ids.map(async id => {
        await sleep(random() * 60);
        if (await journal.request('default', id, asked)) worker.ask(id);
      }),
    );
    for (const id of ids) {
      const ended = () => journal.getRun('default', id).then(run => expect(run?.endedAtMs).toBeDefined());
      await vi.waitFor(ended, { timeout: 60_000, interval: 20 });
      const records = await journal.read(id, 0, 1000);
      const ends = records.filter(({ event }) =>
        /^run-(completed|failed|cancelled|terminated)$/.test(event.type),
      );
      expect(
        ends.map(({ seq }) => seq),
        id,
      ).toEqual([records.length]);
      const run = await journal.getRun('default', id);
      expect(terminalStatuses.has(run?.status ?? 'running'), id).toBe(true);
      expect(await journal.request('default', id, asked), id).toBe(false);
    }
    await worker.stop();
    await journal.close();
  },
  600_000,
);
