import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sized } from '@strata/shared/testing/size.ts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { definitionOf } from './support/gateway.ts';
import { type GatewayProcess, type GatewayProcesses, gatewayProcesses } from './support/gateway-process.ts';
import { openTestPostgres } from './support/postgres-journal.ts';
import { startToolServer, type ToolServer } from './support/tool-server.ts';

/** Two worker processes: the first is stopped (SIGSTOP) past its lease, the second takes its runs over, and the first wakes up (SIGCONT). */

const runCount = sized({ ci: 4, soak: 100 });
const waitMs = 120_000;

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

/** Where the processes keep what they do, as somebody who stands beside them sees it. */
interface Store {
  /** Of the configuration. */
  readonly store?: Record<string, unknown>;
  /** Epochs of the records of a run, in their order. */
  epochsOf(runId: string): Promise<number[]>;
  /** Nobody is in the middle of writing: whoever stopped there would keep everybody out. */
  isFree(): boolean;
  close(): Promise<void>;
}

async function openPostgres(): Promise<Store> {
  const postgres = await openTestPostgres();
  const url = await postgres.server.createDatabase();
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  const text = 'select epoch from strata_agent.journal where run_id = $1 order by seq';
  return {
    store: { url },
    epochsOf: async runId =>
      (await database.query<{ epoch: string }>(text, [runId])).rows.map(({ epoch }) => Number(epoch)),
    isFree: () => true,
    async close() {
      await database.end();
      await postgres.close();
    },
  };
}

async function openSqlite(folder: string): Promise<Store> {
  const read = <Value>(file: string, look: (database: DatabaseSync) => Value): Value => {
    const database = new DatabaseSync(join(folder, file), { timeout: 0 });
    try {
      return look(database);
    } finally {
      database.close();
    }
  };
  const isFree = (file: string) => {
    try {
      read(file, database => database.exec('begin immediate; rollback'));
      return true;
    } catch {
      return false; // locked
    }
  };
  const text = 'select epoch from journal where run_id = ? order by seq';
  return {
    epochsOf: async runId =>
      read('journal.sqlite', database => database.prepare(text).all(runId)).map(({ epoch }) => Number(epoch)),
    isFree: () =>
      readdirSync(folder)
        .filter(file => file.endsWith('.sqlite'))
        .every(isFree),
    close: async () => {},
  };
}

const pay = (name: string) => ({
  call: 'mcp',
  with: { method: 'tools/call', parameters: { name, arguments: { amount: 5 } } },
});

const stores: Readonly<Record<string, (folder: string) => Promise<Store>>> = {
  SQLite: openSqlite,
  PostgreSQL: openPostgres,
};

describe.each(Object.keys(stores))('%s', name => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-paused-'));
  let store: Store;
  let far: HoldingServer;
  let tools: ToolServer;
  let processes: GatewayProcesses;
  let http: GatewayProcess;
  let first: GatewayProcess;
  let second: GatewayProcess;

  beforeAll(async () => {
    const open = stores[name] as (folder: string) => Promise<Store>; // one of its own keys
    store = await open(folder);
    far = await startHoldingServer();
    tools = await startToolServer([
      { name: 'bank__pay', run: ({ amount }) => ({ paid: amount }) },
      { name: 'bank__wait', run: () => ({ waited: true }) },
    ]);
    processes = gatewayProcesses(folder, {
      ...(store.store !== undefined && { store: store.store }),
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
    await tools.close();
    far.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

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

  /** Not in the middle of writing: in a file that locks the others out, until the operating system has ended the process. */
  async function stop({ child }: GatewayProcess): Promise<void> {
    for (;;) {
      child.kill('SIGSTOP');
      const state = () => execFileSync('ps', ['-o', 'state=', '-p', String(child.pid)], { encoding: 'utf8' });
      await vi.waitFor(() => expect(state()).toMatch(/^T/), { timeout: waitMs, interval: 5 });
      if (store.isFree()) return;
      child.kill('SIGCONT');
    }
  }

  /** The other one stands still meanwhile, so what this one had to say before has been said when it is through. */
  async function doSomethingElse(on: GatewayProcess, other: GatewayProcess): Promise<void> {
    await stop(other);
    await reach(await submit(definitionOf([{ only: { set: { done: true } } }])), 'completed');
    expect(on.child.exitCode).toBeNull();
    other.child.kill('SIGCONT');
  }

  test(
    '[8.4-2] [AG-1] [AG-2] [F72] a process that is stopped past its lease and wakes up writes nothing and calls no tool again',
    async () => {
      const workflow = definitionOf([
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
      const ids = await Promise.all(Array.from({ length: runCount }, () => submit(workflow)));
      const asked = (from: number) => new Set(far.keys.slice(from)).size;
      await vi.waitFor(() => expect(asked(0)).toBe(runCount), { timeout: waitMs, interval: 50 });
      await stop(first);
      const before = far.keys.length;
      second = await processes.start('worker');
      await vi.waitFor(() => expect(asked(before)).toBe(runCount), { timeout: waitMs, interval: 50 });
      expect(asked(0)).toBe(runCount); // again under the same keys
      const { length } = far.keys;
      far.isHolding = false;
      far.answerHeld(); // to both: the one that stands still will read its answers when it wakes up
      first.child.kill('SIGCONT');
      for (const id of ids) expect(await reach(id, 'completed')).toMatchObject({ output: { paid: true } });
      await doSomethingElse(first, second);
      expect(tools.calls.map(each => each.name)).toEqual(ids.map(() => 'bank__pay'));
      expect(new Set(tools.calls.map(({ key }) => key)).size).toBe(runCount);
      expect(far.keys).toHaveLength(length);
      for (const id of ids) {
        // An epoch never follows a later one, so nothing that a stale worker wrote is in the journal.
        const epochs = await store.epochsOf(id);
        expect(epochs, id).toEqual([...epochs].sort((one, other) => one - other));
        expect(Math.max(...epochs), id).toBeGreaterThan(1);
      }
    },
    3 * waitMs,
  );

  test(
    '[8.4-2] [AG-1] [AG-2] [F72] [F85] a tool call that the stopped process had begun is parked, not made again, and its late answer is not taken',
    async () => {
      const before = tools.calls.length;
      const reached = tools.holdNextCall();
      await stop(second);
      const id = await submit(definitionOf([{ wait: pay('bank__wait') }]));
      await reached;
      await stop(first);
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
      expect(tools.calls.slice(before).map(each => each.name)).toEqual(['bank__wait']);
    },
    3 * waitMs,
  );
});
