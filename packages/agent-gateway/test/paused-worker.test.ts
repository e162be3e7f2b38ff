import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sized } from '@strata/shared/testing/size.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { definitionOf } from './support/gateway.ts';
import { type GatewayProcess, type GatewayProcesses, gatewayProcesses } from './support/gateway-process.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';
import { startToolServer, type ToolServer } from './support/tool-server.ts';

/** Two worker processes: the first is stopped (SIGSTOP) past its lease, the second takes its runs over, and the first wakes up (SIGCONT). */

const runCount = sized({ ci: 4, soak: 100 });
const waitMs = 120_000;
const folder = mkdtempSync(join(tmpdir(), 'strata-paused-'));
let postgres: TestPostgres;
let far: HoldingServer;
let tools: ToolServer;
let processes: GatewayProcesses;
let database: pg.Client;
let http: GatewayProcess;
let first: GatewayProcess;
let second: GatewayProcess;

beforeAll(async () => {
  postgres = await openTestPostgres();
  far = await startHoldingServer();
  tools = await startToolServer([
    { name: 'bank__pay', run: ({ amount }) => ({ paid: amount }) },
    { name: 'bank__wait', run: () => ({ waited: true }) },
  ]);
  const url = await postgres.server.createDatabase();
  database = new pg.Client({ connectionString: url });
  await database.connect();
  processes = gatewayProcesses(folder, {
    store: { url },
    section: {
      http_calls: { private_hosts: ['127.0.0.1'] },
      mcp_gateway: `${tools.url}/mcp`,
      engine: { first_retry_ms: 20, lease_ms: 3000, heartbeat_ms: 500 },
    },
  });
  http = await processes.start('http');
  first = await processes.start('worker');
}, waitMs);
afterAll(async () => {
  await processes.close();
  await database.end();
  await tools.close();
  far.close();
  await postgres.close();
  rmSync(folder, { recursive: true, force: true });
});

interface HoldingServer {
  readonly url: string;
  /** Keys of the requests that came, in their order. */
  readonly keys: string[];
  isHolding: boolean;
  /** Answers what it held back. */
  answerHeld(): void;
  close(): void;
}

async function startHoldingServer(): Promise<HoldingServer> {
  const held: ServerResponse[] = [];
  const server = createServer((request, response) => {
    request.resume();
    holding.keys.push(String(request.headers['idempotency-key']));
    if (holding.isHolding) held.push(response);
    else answer(response);
  });
  const answer = (response: ServerResponse) =>
    response.setHeader('content-type', 'application/json').end('{"ok":true}');
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const holding: HoldingServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, // it listens
    keys: [],
    isHolding: true,
    answerHeld: () => held.splice(0).forEach(answer),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return holding;
}

const pay = (name: string) => ({
  call: 'mcp',
  with: { method: 'tools/call', parameters: { name, arguments: { amount: 5 } } },
});

const workflow = () =>
  definitionOf([
    {
      slow: {
        call: 'http',
        with: { method: 'post', endpoint: far.url, body: {} },
        metadata: { gateway: { onInDoubt: 'retry' } },
      },
    },
    { pay: pay('bank__pay') },
    { finish: { set: { paid: true } } },
  ]);

const submit = async (definition: unknown): Promise<string> => {
  const { status, body } = await http.call('POST', '/v1/runs', { body: { definition, input: {} } });
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body.id;
};

const reach = (id: string, status: string) =>
  vi.waitFor(
    async () => {
      const { body } = await http.call('GET', `/v1/runs/${id}`);
      expect(body).toMatchObject({ status });
      return body;
    },
    { timeout: waitMs, interval: 100 },
  );

interface Written {
  readonly seq: string;
  readonly kind: string;
  readonly epoch: string;
}

/** What the journal holds of a run: an epoch never follows a later one, so nothing that a stale worker wrote is in it. */
async function epochsOf(id: string): Promise<number[]> {
  const text = 'select seq, kind, epoch from strata_agent.journal where run_id = $1 order by seq';
  const { rows } = await database.query<Written>(text, [id]);
  return rows.map(({ epoch }) => Number(epoch));
}

/** The other one stands still meanwhile, so what this one had to say before has been said when it is through. */
async function doSomethingElse(on: GatewayProcess, other: GatewayProcess): Promise<void> {
  other.child.kill('SIGSTOP');
  await reach(await submit(definitionOf([{ only: { set: { done: true } } }])), 'completed');
  expect(on.child.exitCode).toBeNull();
  other.child.kill('SIGCONT');
}

test(
  '[AG-1] [AG-2] [F72] a process that is stopped past its lease and wakes up writes nothing and calls no tool again',
  async () => {
    const ids = await Promise.all(Array.from({ length: runCount }, () => submit(workflow())));
    await vi.waitFor(() => expect(far.keys).toHaveLength(runCount), { timeout: waitMs, interval: 50 });
    first.child.kill('SIGSTOP');
    second = await processes.start('worker');
    await vi.waitFor(() => expect(far.keys).toHaveLength(2 * runCount), { timeout: waitMs, interval: 50 });
    expect(new Set(far.keys).size).toBe(runCount); // again under the same keys
    far.isHolding = false;
    far.answerHeld(); // to both: the one that stands still will read its answers when it wakes up
    first.child.kill('SIGCONT');
    for (const id of ids) expect(await reach(id, 'completed')).toMatchObject({ output: { paid: true } });
    await doSomethingElse(first, second);
    expect(tools.calls.map(({ name }) => name)).toEqual(ids.map(() => 'bank__pay'));
    expect(new Set(tools.calls.map(({ key }) => key)).size).toBe(runCount);
    expect(far.keys).toHaveLength(2 * runCount);
    for (const id of ids) {
      const epochs = await epochsOf(id);
      expect(epochs, id).toEqual([...epochs].sort((one, other) => one - other));
      expect(Math.max(...epochs), id).toBeGreaterThan(1);
    }
  },
  3 * waitMs,
);

test(
  '[AG-1] [AG-2] [F72] a tool call that the stopped process had begun is parked, not made again, and its late answer is not taken',
  async () => {
    const before = tools.calls.length;
    const reached = tools.holdNextCall();
    second.child.kill('SIGSTOP');
    const id = await submit(definitionOf([{ wait: pay('bank__wait') }]));
    await reached;
    first.child.kill('SIGSTOP');
    second.child.kill('SIGCONT');
    await reach(id, 'in_doubt');
    tools.answerHeld();
    first.child.kill('SIGCONT');
    await doSomethingElse(first, second);
    await reach(id, 'in_doubt');
    const result = { content: [{ type: 'text', text: 'as the operator saw' }] };
    const resolved = await http.call('POST', `/v1/runs/${id}:resolve`, {
      body: { action: 'complete', result },
    });
    expect(resolved.status).toBeLessThan(300);
    expect(JSON.stringify(await reach(id, 'completed'))).toContain('as the operator saw');
    expect(tools.calls.slice(before).map(({ name }) => name)).toEqual(['bank__wait']);
  },
  3 * waitMs,
);
