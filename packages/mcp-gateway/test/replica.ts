import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { freePort } from '@strata/shared/testing/private-server.ts';
import { fixture, node, type TestGateway } from './start-gateway.ts';

/** A gateway in a process of its own, which can be killed. */
export interface Replica {
  readonly process: ChildProcess;
  readonly gateway: TestGateway;
}

/** One of several gateways that share a Redis and a folder. */
export async function startReplica(options: {
  readonly folder: string;
  readonly redisUrl: string;
  readonly section: Record<string, unknown>;
}): Promise<Replica> {
  const port = await freePort();
  const given = {
    dataDir: options.folder,
    config: { hot: { url: options.redisUrl, command_timeout_ms: 10_000 } },
    section: {
      listen: { port },
      replicas: { url: `http://127.0.0.1:${port}`, heartbeat_ms: 500 },
      ...options.section,
    },
  };
  return startGatewayProcess(given);
}

/** A gateway in a process of its own, so that it has a processor to itself beside its clients and servers. */
export async function startGatewayProcess(options: {
  readonly dataDir: string;
  readonly section: Record<string, unknown>;
  readonly config?: Record<string, unknown>;
  readonly logLevel?: 'debug' | 'error';
}): Promise<Replica> {
  const child = spawn(node, [fixture('replica-process.ts'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>(resolve => lines.once('line', resolve));
  const { url, key } = JSON.parse(line) as { url: string; key: string };
  return { process: child, gateway: { url: new URL(url), userKey: key } as TestGateway };
}
