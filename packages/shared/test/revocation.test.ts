import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Envelope,
  envelopeHeader,
  type GatewayName,
  gatewayNames,
} from '@strata/shared/identity/envelope.ts';
import { openIdentityWatch } from '@strata/shared/identity/identity-watch.ts';
import type { NewKey } from '@strata/shared/identity/key-store.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import type { NodeKind } from '@strata/shared/identity/tree.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';

const postgres = await startPostgres();
const redis = await startRedis();
afterAll(async () => {
  for (const server of [postgres, redis]) if (!isMissing(server)) await server.close();
});

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

interface Process {
  readonly name: GatewayName;
  readonly url: string;
  readonly child: ChildProcess;
}

async function startProcess<Name extends GatewayName>(
  name: Name,
  config: object,
): Promise<Process & { readonly name: Name }> {
  const script = join(import.meta.dirname, 'fixtures/identity-worker.ts');
  const child = fork(script, [name, JSON.stringify(config)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  undo.push(() => child.kill('SIGKILL'));
  const [url] = await once(child, 'message');
  return { name, url: String(url), child };
}

/** The status, and the reason of a refusal. */
async function get(url: string, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(url, { headers }).catch((error: unknown) => String(error));
  if (typeof answer === 'string') return answer;
  const body = (await answer.json()) as { reason?: string };
  return [answer.status, body.reason].filter(Boolean).join(' ');
}

const path = (name: string): NewKey => ({
  name,
  tenant: `org-${name}`,
  team: `team-${name}`,
  project: `project-${name}`,
  principal: `principal-${name}`,
});

/** Every way in which a key stops, on the path of one key each. */
const ways: Readonly<Record<string, (deps: TestDeps, keyId: string, name: string) => Promise<unknown>>> = {
  disabled: (deps, id) => deps.keys.disable(id),
  deleted: (deps, id) => deps.keys.delete(id),
  ended: (deps, id) => deps.keys.change(id, { expiresAtMs: Date.now() }),
  ...Object.fromEntries(
    (['principal', 'project', 'team', 'organisation'] satisfies NodeKind[]).map(kind => [
      kind,
      (deps: TestDeps, _id: string, name: string) =>
        deps.tree.change(
          { tenant: `org-${name}`, kind, id: `${kind === 'organisation' ? 'org' : kind}-${name}` },
          { isDisabled: true },
        ),
    ]),
  ),
};

interface Backend {
  readonly name: string;
  config(): Promise<Record<string, unknown>>;
}

const backends: Backend[] = [{ name: 'one SQLite file', config: async () => ({}) }];
if (!isMissing(postgres) && !isMissing(redis)) {
  backends.push({
    name: 'PostgreSQL and Redis',
    config: async () => ({ store: { url: await postgres.createDatabase() }, hot: { url: redis.url } }),
  });
}

describe.each(backends)('three processes on $name', backend => {
  test('[A12] whatever stops a key stops its calls under way and its next ones, in every process', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'strata-revocation-'));
    undo.push(() => rmSync(dataDir, { recursive: true, force: true }));
    const config = await backend.config();
    const deps = await createTestDeps({ dataDir, config });
    undo.push(() => deps.close());
    const shared = { ...config, data_dir: dataDir, telemetry: { log_level: 'error' } };
    const processes = await Promise.all(gatewayNames.map(name => startProcess(name, shared)));

    const names = Object.keys(ways);
    const made = await Promise.all(names.map(name => deps.keys.create(path(name))));
    const headersOf = (index: number) => ({ 'x-api-key': made[index]?.secret.reveal() ?? '' });
    const bystander = { 'x-api-key': deps.userKey };

    const calls = processes.flatMap(({ url, child }) =>
      [...names, 'bystander'].map((name, index) => {
        const hanging = once(child, 'message');
        const headers = name === 'bystander' ? bystander : headersOf(index);
        return {
          name,
          hanging,
          ended: get(`${url}/hang`, headers).then(result => ({ name, result, atMs: Date.now() })),
        };
      }),
    );
    await Promise.all(calls.map(call => call.hanging));
    for (const { url } of processes) {
      expect(await Promise.all(names.map((_, index) => get(`${url}/ask`, headersOf(index))))).toEqual(
        names.map(() => '200'),
      );
    }

    const stoppedAtMs = Date.now();
    await Promise.all(names.map((name, index) => ways[name]?.(deps, made[index]?.key.id ?? '', name)));
    const ended = await Promise.all(calls.filter(call => call.name !== 'bystander').map(call => call.ended));
    expect(new Set(ended.map(call => call.result))).toEqual(new Set(['401 key_revoked']));
    const lateMs = Math.max(...ended.map(call => call.atMs)) - stoppedAtMs;
    process.stdout.write(
      `the last call of ${ended.length} ended ${lateMs} ms after the first key was stopped (${backend.name})\n`,
    );
    expect(lateMs).toBeLessThan(10_000); // one second, on a machine that does nothing else

    // A call may be ended by a reading that is newer than what its process has followed; within the same second it has followed too.
    for (const { url } of processes) {
      await vi.waitFor(
        async () => {
          const answers = await Promise.all(names.map((_, index) => get(`${url}/ask`, headersOf(index))));
          expect(answers).toEqual(names.map(() => '401 key_invalid'));
        },
        { timeout: 10_000, interval: 50 },
      );
      expect(await get(`${url}/ask`, bystander)).toBe('200');
    }
  });

  test('a run that is cancelled ends its calls in every process, and no new one is admitted', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'strata-cancel-'));
    undo.push(() => rmSync(dataDir, { recursive: true, force: true }));
    const config = await backend.config();
    const deps = await createTestDeps({ name: 'agent-gateway', dataDir, config });
    undo.push(() => deps.close());
    const shared = { ...config, data_dir: dataDir, telemetry: { log_level: 'error' } };
    const processes = await Promise.all(
      (['ai-gateway', 'mcp-gateway'] as const).map(name => startProcess(name, shared)),
    );
    const headersFor = async (runId: string, audience: 'ai-gateway' | 'mcp-gateway') => ({
      [envelopeHeader]: await deps.envelopes.issue({ ...envelope, runId }, audience),
    });
    const hang = async (runId: string) =>
      Promise.all(
        processes.map(async ({ name, url, child }) => {
          const hanging = once(child, 'message');
          const ended = get(`${url}/hang`, await headersFor(runId, name));
          await hanging;
          return { ended };
        }),
      );
    const cancelled = await hang('run_1');
    const others = await hang('run_2');
    await deps.cancelRun({ tenant: 'foreign', runId: 'run_2' });
    await deps.cancelRun({ tenant: envelope.tenant, runId: 'run_1' });
    for (const { ended } of cancelled) expect(await ended).toBe('499 run_cancelled');
    for (const { name, url } of processes) {
      expect(await get(`${url}/ask`, await headersFor('run_1', name))).toBe('499 run_cancelled');
      expect(await get(`${url}/ask`, await headersFor('run_2', name))).toBe('200');
    }
    const late = await startProcess('ai-gateway', shared);
    expect(await get(`${late.url}/ask`, await headersFor('run_1', 'ai-gateway'))).toBe('499 run_cancelled');
    await deps.cancelRun({ tenant: envelope.tenant, runId: 'run_2' });
    for (const { ended } of others) expect(await ended).toBe('499 run_cancelled');
  });
});

const envelope: Omit<Envelope, 'issuer'> = {
  tenant: 'acme',
  team: 'default',
  project: 'default',
  subject: 'ada',
  principalKind: 'user',
  keyId: undefined,
  tags: [],
  actors: ['workflow:x'],
  scopes: allScopes,
  grant: undefined,
  runId: undefined,
  taskId: undefined,
  deadlineAtMs: undefined,
  depth: 3,
};

test('[A12] what is known is asked for again before it is older than two polls, however late the timers are', async () => {
  const clock = createManualClock();
  const deps = await createTestDeps({ clock });
  undo.push(() => deps.close());
  const seen: string[] = [];
  const watch = await openIdentityWatch({
    sql: deps.sql,
    hot: deps.hot,
    clock,
    pollMs: 200,
    staleMs: 10_000,
    onFailure: () => {},
  });
  watch.onChange(changes => seen.push(...(changes ?? []).map(change => change.kind)));
  await deps.cancelRun({ tenant: 't', runId: 'r' });
  await clock.advance(400);
  expect(watch.confirm()).toBeUndefined();
  expect(seen).toEqual([]);
  await clock.advance(1);
  await watch.confirm();
  expect(seen).toEqual(['run']);
});

test('a store that is away: known keys go on for a while, then everybody is asked to come back', async () => {
  const clock = createManualClock();
  const deps = await createTestDeps({ clock });
  const ask = () =>
    deps.authenticate({ 'x-api-key': deps.userKey }).then(
      caller => caller.principal,
      (error: { reason: string }) => error.reason,
    );
  expect(await ask()).toBe('tester');
  await deps.sql.close();
  undo.push(() => deps.close().catch(() => {}));
  await clock.advance(5000);
  expect(await ask()).toBe('tester');
  await clock.advance(6000);
  expect(await ask()).toBe('store_unavailable');
});
