import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Effects, startEffects } from './support/effects.ts';
import { definitionOf } from './support/gateway.ts';
import { type GatewayProcesses, gatewayProcesses } from './support/gateway-process.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Real processes with the leases and heartbeats that nobody has configured. */

const withinMs = 20_000;
const folders: string[] = [];
let postgres: TestPostgres;
let effects: Effects;
let processes: GatewayProcesses | undefined;

beforeAll(async () => {
  postgres = await openTestPostgres();
  effects = await startEffects({ maxDelayMs: 1, random: Math.random });
});
afterEach(() => processes?.close());
afterAll(async () => {
  await effects.close();
  await postgres.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const effect = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: `${effects.url}/effect`, body: { n } },
  metadata: { gateway: { onInDoubt: 'retry' } },
});

const stores: Readonly<Record<string, () => Promise<Record<string, unknown> | undefined>>> = {
  SQLite: async () => undefined,
  PostgreSQL: async () => ({ url: await postgres.server.createDatabase() }),
};

test.each(Object.keys(stores))(
  '[8.4-3] [AG-4] %s: with the default lease another process has taken the runs of a killed worker over and ended them within 20 s',
  async name => {
    const folder = mkdtempSync(join(tmpdir(), 'strata-failover-'));
    folders.push(folder);
    const store = await stores[name]?.();
    processes = gatewayProcesses(folder, {
      ...(store !== undefined && { store }),
      section: { http_calls: { private_hosts: ['127.0.0.1'] } },
    });
    const http = await processes.start('http');
    const first = await processes.start('worker');
    const known = new Set(effects.byKey.keys());
    effects.holdAnswers = true;
    const reached = effects.nextRequest();
    const definition = definitionOf([{ one: effect('${ .n }') }, { two: effect('${ .doubled }') }]);
    const { body: run } = await http.call('POST', '/v1/runs', { body: { definition, input: { n: 3 } } });
    const key = await reached;
    await processes.start('worker');

    const dead = once(first.child, 'exit');
    const killedAtMs = performance.now();
    first.child.kill('SIGKILL');
    await dead;
    effects.holdAnswers = false;
    await expect
      .poll(async () => (await http.call('GET', `/v1/runs/${run.id}`)).body.status, {
        timeout: 60_000,
        interval: 100,
      })
      .toBe('completed');
    const tookMs = performance.now() - killedAtMs;
    console.log(`${name}: taken over and ended ${(tookMs / 1000).toFixed(1)} s after the kill`);
    expect(tookMs).toBeLessThan(withinMs);

    const { body } = await http.call('GET', `/v1/runs/${run.id}`);
    expect(body.output).toEqual({ doubled: 12 });
    expect(effects.byKey.get(key), 'the call in doubt was repeated under its key').toBe(2);
    const times = [...effects.byKey].filter(([each]) => !known.has(each)).map(([, count]) => count);
    expect(times.toSorted()).toEqual([1, 2]);
  },
  120_000,
);
