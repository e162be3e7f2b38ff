import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FixtureEra, startEverythingServer } from '../fixtures/everything/start.ts';
import { expectInPage } from '../matrix.ts';
import { openDoor } from '../open-door.ts';
import { startGateway } from '../start-gateway.ts';
import { expectedDifferences, isExpected } from './expected-differences.ts';
import { differences, type Requirements, runServerSuite, type SuiteRun } from './run-suite.ts';

/**
 * The official suite, direct and through the gateway: what a client sees must be the same. Against servers of one era only it
 * also runs the requirements of the other era, which is the bridge between the two.
 */
const direct = new Map<Requirements, SuiteRun>();
let redis: Awaited<ReturnType<typeof startRedis>>;
let folder: string;
const both = ['2025-11-25', '2026-07-28'] as const;
const table: string[][] = [['Client', 'Server', 'Gateways', 'Result']];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-matrix-'));
  redis = await startRedis();
  await Promise.all(both.map(runDirect));
}, 240_000);

afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
  rmSync(folder, { recursive: true, force: true });
});

async function runDirect(requirements: Requirements): Promise<void> {
  const server = await startEverythingServer('dual');
  let run = await runServerSuite(server.url, requirements);
  if (run.exitCode !== 0) run = await runServerSuite(server.url, requirements); // as below
  direct.set(requirements, run);
  table.push([requirements, 'both eras', 'none: direct', directResults[requirements]]);
  await server.close();
}

async function runThrough(era: FixtureEra, requirements: Requirements, replicas: number): Promise<SuiteRun> {
  const server = await startEverythingServer(era);
  const gateways = [];
  for (let index = 0; index < replicas; index++) {
    const port = await freePort();
    const section = {
      listen: { port },
      servers: {
        up: { type: 'streamable-http', url: server.url, allow_private: true, names: 'plain' },
      },
      streams: { stream_after_ms: 0 },
      list_changed_debounce_ms: 10,
      ...(replicas > 1 && { replicas: { url: `http://127.0.0.1:${port}` } }),
    };
    const config =
      replicas > 1 && !isMissing(redis)
        ? { config: { hot: { url: redis.url, command_timeout_ms: 60_000 } } }
        : {};
    gateways.push(
      await startGateway(section, {
        ...config,
        ...(replicas > 1 && { dataDir: join(folder, `${era} ${requirements}`) }),
      }),
    );
  }
  const door = await openDoor(gateways.map(({ url, userKey }) => ({ url, key: userKey })));
  try {
    return await runServerSuite(door.url, requirements);
  } finally {
    await door.close();
    await Promise.all(gateways.map(gateway => gateway.close()));
    await server.close();
  }
}

/** What the test below holds. */
const directResults = {
  '2025-11-25': '84 checks pass, none fails',
  '2026-07-28': 'all 37 scenarios that count pass',
};

test('the fixture itself passes what counts: 84 checks of 2025-11-25, all scenarios of 2026-07-28', () => {
  expect(direct.get('2025-11-25')).toMatchObject({ passed: 84, failed: 0, exitCode: 0 });
  expect(direct.get('2026-07-28')).toMatchObject({ exitCode: 0 });
});

const cells = (['dual', 'modern', 'legacy'] as const).flatMap(era =>
  [1, 2].map(replicas => ({ era, replicas })),
);
const servers = { dual: 'both eras', modern: 'new era only', legacy: 'sessions only' };

test.for(cells)(
  '[MCP-5] clients of both eras of $replicas gateway(s) before a server that is $era see what they would see direct',
  { timeout: 240_000, retry: 1 }, // the suite gives each of its own requests a few seconds, however busy the machine
  async ({ era, replicas }, { skip }) => {
    if (replicas > 1 && isMissing(redis)) return skip(redis.missing);
    const runs = await Promise.all(both.map(requirements => runThrough(era, requirements, replicas)));
    const rows: string[][] = [];
    for (const [index, requirements] of both.entries()) {
      const [baseline, through] = [direct.get(requirements), runs[index]];
      if (!baseline || !through) throw new Error('there is nothing to compare');
      const expected = expectedDifferences[era][requirements];
      const found = differences(baseline, through);
      const unexplained = found.filter(line => !isExpected(line, expected));
      expect(unexplained, messagesOf(through, unexplained)).toEqual([]);
      const stale = Object.keys(expected).filter(
        prefix => !found.some(line => isExpected(line, { [prefix]: '' })),
      );
      expect(stale, 'differences that are expected and did not occur').toEqual([]);
      const count = Object.keys(expected).length;
      const verdict = count === 0 ? 'equal to direct' : `equal to direct but for ${count} named below`;
      rows.push([requirements, servers[era], String(replicas), verdict]);
    }
    table.push(...rows);
  },
);

test('the page says what passed, no more and no less', ({ skip }) => {
  if (isMissing(redis)) return skip(redis.missing);
  const [head = [], ...rows] = table;
  expectInPage('server suite', [head, ...rows.sort((a, b) => (`${a[0]}` < `${b[0]}` ? -1 : 1))]);
});

/** What the suite had to say about checks that came out otherwise. */
function messagesOf({ scenarios }: SuiteRun, lines: readonly string[]): string {
  return scenarios
    .filter(({ name }) => lines.some(line => line.includes(` ${name} `)))
    .flatMap(({ name, failures }) => failures.map(failure => `${name} ${failure}`))
    .join('\n');
}
