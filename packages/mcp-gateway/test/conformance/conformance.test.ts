import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FixtureEra, startEverythingServer } from '../fixtures/everything/start.ts';
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

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-matrix-'));
  redis = await startRedis();
  for (const requirements of ['2025-11-25', '2026-07-28'] as const) {
    const server = await startEverythingServer('dual');
    direct.set(requirements, await runServerSuite(server.url, requirements));
    await server.close();
  }
}, 120_000);

afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
  rmSync(folder, { recursive: true, force: true });
});

async function runThrough(era: FixtureEra, requirements: Requirements, replicas: number): Promise<SuiteRun> {
  const server = await startEverythingServer(era);
  const gateways = [];
  for (let index = 0; index < replicas; index++) {
    const port = await freePort();
    const section = {
      listen: { port },
      servers: { up: { type: 'streamable-http', url: server.url, allow_private: true, names: 'plain' } },
      streams: { stream_after_ms: 0 },
      list_changed_debounce_ms: 10,
      ...(replicas > 1 && { replicas: { url: `http://127.0.0.1:${port}` } }),
    };
    const config = replicas > 1 && !isMissing(redis) ? { config: { hot: { url: redis.url } } } : {};
    gateways.push(await startGateway(section, { ...config, ...(replicas > 1 && { dataDir: folder }) }));
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

test('the fixture itself passes what counts: 84 checks of 2025-11-25, all scenarios of 2026-07-28', () => {
  expect(direct.get('2025-11-25')).toMatchObject({ passed: 84, failed: 0, exitCode: 0 });
  expect(direct.get('2026-07-28')).toMatchObject({ exitCode: 0 });
});

const cells = (['dual', 'modern', 'legacy'] as const).flatMap(era =>
  (['2025-11-25', '2026-07-28'] as const).flatMap(requirements =>
    [1, 2].map(replicas => ({ era, requirements, replicas })),
  ),
);

test.for(cells)(
  '[MCP-5] a $requirements client of $replicas gateway(s) before a server that is $era sees what it would see direct',
  { timeout: 120_000 },
  async ({ era, requirements, replicas }, { skip }) => {
    if (replicas > 1 && isMissing(redis)) return skip(redis.missing);
    const through = await runThrough(era, requirements, replicas);
    const expected = expectedDifferences[era][requirements];
    const baseline = direct.get(requirements);
    const found = baseline ? differences(baseline, through) : ['no baseline'];
    expect(found.filter(line => !isExpected(line, expected))).toEqual([]);
    const isExplained = Object.keys(expected).filter(
      prefix => !found.some(line => isExpected(line, { [prefix]: '' })),
    );
    expect(isExplained, 'differences that are expected and did not occur').toEqual([]);
  },
);
