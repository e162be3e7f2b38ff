import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import {
  freePort,
  isMissing,
  type PrivateServer,
  type ServerMissing,
} from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { parse } from 'yaml';

/**
 * What docker-compose.yml describes, without Docker: the three gateways as processes with exactly the environment that the file gives
 * them, a real Redis and a real PostgreSQL. Addresses of containers become addresses on loopback, `/data` a temporary folder,
 * and a simulator stands in for the providers.
 *
 *   node scripts/topology.ts    runs until Ctrl-C and prints the addresses and keys
 */
export interface Topology {
  readonly urls: { readonly ai: string; readonly mcp: string; readonly agent: string };
  readonly keys: { readonly user: string; readonly admin: string };
  /** SIGTERM to each gateway, in the order in which compose stops them; resolves with their exit codes. */
  stop(): Promise<Record<string, number | null>>;
  /** Ends everything and removes the data. */
  close(): Promise<void>;
}

const root = resolve(import.meta.dirname, '..');
const gateways = ['ai-gateway', 'mcp-gateway', 'agent-gateway'] as const;

export async function startTopology(): Promise<Topology | ServerMissing> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  if (isMissing(redis)) return redis;
  if (isMissing(postgres)) return postgres;
  const folder = mkdtempSync(join(tmpdir(), 'strata-topology-'));
  const ports = {
    'ai-gateway': await freePort(),
    'mcp-gateway': await freePort(),
    'agent-gateway': await freePort(),
  };
  const simulator = await startProgram('packages/shared/src/testing/simulator/main.ts', {
    args: ['--port', '0'],
    env: {},
  });
  const toLoopback = translate({ redis, postgres, ports });
  const processes = new Map<string, ChildProcess>();
  const environments = new Map(
    gateways.map(name => [
      name,
      environmentOf(name, { folder, ports, toLoopback, simulatorUrl: simulator.url }),
    ]),
  );

  for (const name of gateways) {
    const { child } = await startProgram(`packages/${name}/src/main.ts`, {
      args: [],
      env: environments.get(name) ?? {},
    });
    processes.set(name, child);
  }
  const env = environments.get('ai-gateway') ?? {};
  const close = async () => {
    for (const child of [...processes.values(), simulator.child]) child.kill('SIGKILL');
    await Promise.all([redis.close(), postgres.close()]);
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    urls: {
      ai: url(ports['ai-gateway']),
      mcp: url(ports['mcp-gateway']),
      agent: url(ports['agent-gateway']),
    },
    keys: { user: createKey(env, []), admin: createKey(env, ['--admin']) },
    async stop() {
      const codes: Record<string, number | null> = {};
      for (const name of [...gateways].reverse()) {
        const child = processes.get(name);
        if (child === undefined) continue;
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        [codes[name]] = (await exited) as [number | null];
      }
      return codes;
    },
    close,
  };
}

type Ports = Readonly<Record<(typeof gateways)[number], number>>;

/** The environment that the compose file gives a service, with its secrets set and its addresses on loopback. */
function environmentOf(
  name: (typeof gateways)[number],
  options: { folder: string; ports: Ports; toLoopback: (text: string) => string; simulatorUrl: string },
): Record<string, string> {
  const compose = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    services: Record<string, { environment: Record<string, string> }>;
  };
  const written = Object.entries(compose.services[name]?.environment ?? {});
  const section = `STRATA_${name.replace('-', '_').toUpperCase()}`;
  const local = { api_key: 'simulator', allow_private: true };
  return {
    ...Object.fromEntries(written.map(([key, value]) => [key, options.toLoopback(value)])),
    STRATA_CONFIG: join(root, 'strata.yaml'),
    STRATA_DATA_DIR: join(options.folder, name),
    [`${section}__LISTEN__PORT`]: String(options.ports[name]),
    ...(name === 'ai-gateway' && {
      STRATA_AI_GATEWAY__PROVIDERS: JSON.stringify({
        main: { type: 'openai-compatible', base_url: `${options.simulatorUrl}/openai/v1`, ...local },
      }),
      STRATA_AI_GATEWAY__MODELS: JSON.stringify({
        demo: {
          targets: [
            {
              provider: 'main',
              model: 'gpt-5-mini',
              prices: { input: '0.25', output: '2.00', cache_read: '0.025' },
            },
          ],
        },
      }),
    }),
  };
}

function translate(options: {
  redis: PrivateServer;
  postgres: PrivateServer;
  ports: Ports;
}): (text: string) => string {
  const { redis, postgres, ports } = options;
  return text => {
    let result = text
      .replace(/postgres:\/\/[^@]*@postgres:5432\/\w+/, postgres.url)
      .replace('redis://redis:6379', redis.url)
      .replace(/\$\{STRATA_PEPPER[^}]*\}/, 'a-pepper-for-this-topology-of-32-characters')
      .replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
    for (const name of gateways) result = result.replace(new RegExp(`http://${name}:\\d+`), url(ports[name]));
    return result;
  };
}

const url = (port: number) => `http://127.0.0.1:${port}`;

async function startProgram(
  entry: string,
  options: { args: readonly string[]; env: Record<string, string> },
): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(root, entry), ...options.args], {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const message = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => undefined)]);
  if (message === undefined) throw new Error(`${entry} did not start`);
  return { child, url: (message[0] as { url: string }).url };
}

function createKey(env: Record<string, string>, options: readonly string[]): string {
  const args = [
    join(root, 'packages/cli/src/main.ts'),
    'keys',
    'create',
    '--name',
    'topology',
    '--principal',
    'tester',
    ...options,
  ];
  return execFileSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

if (import.meta.main) {
  const topology = await startTopology();
  if ('missing' in topology) {
    console.error(topology.missing);
    process.exit(1);
  }
  console.log(JSON.stringify({ ...topology.urls, ...topology.keys }, null, 2));
  process.once('SIGINT', () => void topology.close().then(() => process.exit(0)));
}
