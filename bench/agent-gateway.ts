import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { agentGatewayFlags, startGateway } from './gateways.ts';

const concurrency = 50;
const stepsOfRun = 20;

type Gateway = Awaited<ReturnType<typeof startGateway>>;

/**
 * The whole gateway, over HTTP: runs of twenty `call: http` to a far end that answers at once, starts at 200 a second, the memory of the
 * process, and how long a run stands still when the process that had it is killed.
 */
export async function benchAgentGateway({
  runs,
  isQuick,
}: {
  runs: number;
  isQuick: boolean;
}): Promise<string> {
  const far = await startFarEnd();
  const postgres = await startPostgres({ isDurable: true });
  try {
    const rows = [['SQLite', ...(await measure(far, { runs, shared: {} })), '']];
    if (!isMissing(postgres)) {
      const shared = async () => ({ store: { url: await postgres.createDatabase() } });
      const measured = await measure(far, { runs, shared: await shared() });
      rows.push(['PostgreSQL', ...measured, isQuick ? '' : await failover(far, await shared())]);
    }
    const head = ['', 'tasks/s', 'run start p99 ms', 'RSS MiB', 'failover s'];
    return `${[head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n')}\n`;
  } finally {
    far.close();
    if (!isMissing(postgres)) await postgres.close();
  }
}

async function measure(far: FarEnd, { runs, shared }: { runs: number; shared: object }): Promise<string[]> {
  const gateway = await startGateway('agent-gateway', section, { shared, execArgs: agentGatewayFlags });
  try {
    await store(gateway, 'long', taskList(far, stepsOfRun));
    await store(gateway, 'short', taskList(far, 1));
    await inLanes(Math.min(runs, concurrency), () => runToEnd(gateway));
    const startedAtMs = performance.now();
    await inLanes(runs, () => runToEnd(gateway));
    const tasksPerSecond = (runs * stepsOfRun * 1000) / (performance.now() - startedAtMs);
    const starts = await measureStarts(gateway, far);
    return [tasksPerSecond.toFixed(0), starts.toFixed(1), residentMiB(gateway).toFixed(0)];
  } finally {
    await gateway.stop();
  }
}

const section = { listen: { port: 0 }, http_calls: { private_hosts: ['127.0.0.1'] } };

const taskList = (far: FarEnd, length: number) =>
  Array.from({ length }, (_, index) => ({
    [`step-${index}`]: {
      call: 'http',
      with: { method: 'get', endpoint: { uri: `${far.url}/{name}` } },
      input: { from: '${ $workflow.input }' },
    },
  }));

async function store(gateway: Gateway, name: string, tasks: readonly object[]): Promise<void> {
  const document = { document: { dsl: '1.0.3', namespace: 'bench', name, version: '1.0.0' }, do: tasks };
  await send(gateway, 'PUT', `/v1/workflows/bench/${name}/1.0.0`, document);
}

async function runToEnd(gateway: Gateway): Promise<void> {
  const body = { workflow: 'bench/long@1.0.0', input: { name: 'any' } };
  const run = await send(gateway, 'POST', '/v1/runs?wait=60', body);
  if (run.status !== 'completed') throw new Error(JSON.stringify(run));
}

/** From the submission to the moment at which its first request is at the far end; what 99 of 100 need, in milliseconds. */
async function measureStarts(gateway: Gateway, far: FarEnd): Promise<number> {
  const times: Promise<number>[] = [];
  for (let at = 0; at < 400; at++) {
    const name = `start-${at}`;
    const startedAtMs = performance.now();
    times.push(far.arrival(name).then(() => performance.now() - startedAtMs));
    void send(gateway, 'POST', '/v1/runs', { workflow: 'bench/short@1.0.0', input: { name } });
    await sleep(5);
  }
  const sorted = (await Promise.all(times)).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

/** Seconds from the death of a process to the moment at which another one asks again what that had asked. */
async function failover(far: FarEnd, shared: object): Promise<string> {
  const first = await startGateway('agent-gateway', section, { shared });
  await store(first, 'short', taskList(far, 1));
  await send(first, 'POST', '/v1/runs', { workflow: 'bench/short@1.0.0', input: { name: 'held' } });
  await far.arrival('held');
  const second = await startGateway('agent-gateway', section, { shared });
  const again = far.arrival('held');
  const startedAtMs = performance.now();
  first.child.kill('SIGKILL');
  await again;
  const tookMs = performance.now() - startedAtMs;
  await second.stop();
  return (tookMs / 1000).toFixed(1);
}

async function inLanes(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
}

async function send(
  { url, key }: Gateway,
  method: string,
  path: string,
  body: object,
): Promise<{ status?: unknown }> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const response = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as { status?: unknown }; // of a gateway of this repository
}

function residentMiB({ child }: Gateway): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

interface FarEnd {
  readonly url: string;
  /** Resolves with the next request to `/name`. */
  arrival(name: string): Promise<void>;
  close(): void;
}

/** Answers at once; what is asked of it as `held` it never answers. */
async function startFarEnd(): Promise<FarEnd> {
  const waiting = new Map<string, () => void>();
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    request.resume();
    waiting.get(name)?.();
    waiting.delete(name);
    if (name !== 'held') response.setHeader('content-type', 'application/json').end('{"ok":true}');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens
  return {
    url: `http://127.0.0.1:${port}`,
    arrival: name => new Promise(resolve => waiting.set(name, resolve)),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const isQuick = process.argv.includes('--quick');
  console.log(await benchAgentGateway({ runs: isQuick ? 20 : 1000, isQuick }));
}
