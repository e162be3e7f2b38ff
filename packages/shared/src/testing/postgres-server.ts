import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  end,
  freePort,
  launch,
  type PrivateServer,
  type ServerMissing,
  serverMissing,
} from './private-server.ts';

const versionsFolder = '/usr/lib/postgresql';

function findBinaries(): string | undefined {
  if (!existsSync(versionsFolder)) return undefined;
  const versions = readdirSync(versionsFolder).sort((left, right) => Number(right) - Number(left));
  return versions
    .map(version => join(versionsFolder, version, 'bin'))
    .find(folder => existsSync(join(folder, 'initdb')));
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
function asServerUser(command: readonly string[]): string[] {
  return process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : [...command];
}

function run(command: readonly string[]): void {
  const [file = '', ...args] = asServerUser(command);
  const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')} failed: ${stderr}`);
}

/** A private PostgreSQL that trusts loopback. Commits are durable, as in production. */
export async function startPostgres(): Promise<PrivateServer | ServerMissing> {
  const binaries = findBinaries();
  if (binaries === undefined) return serverMissing('postgresql');
  const folder = mkdtempSync(join(tmpdir(), 'strata-postgres-'));
  chmodSync(folder, 0o777); // the server's user makes its data folder inside
  const data = join(folder, 'data');
  run([
    join(binaries, 'initdb'),
    '-D',
    data,
    '-U',
    'strata',
    '--auth=trust',
    '--no-sync',
    '--locale=C.UTF-8',
    '--encoding=UTF8',
  ]);
  const port = await freePort();
  const command = [
    ...[join(binaries, 'postgres'), '-D', data, '-p', String(port)],
    ...[
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      `unix_socket_directories=${folder}`,
      '-c',
      'max_connections=200',
    ],
  ];
  const start = () =>
    launch(asServerUser(command), output =>
      output.includes('database system is ready to accept connections'),
    );
  let child = await start();
  /** SIGINT asks for a fast shutdown, SIGQUIT for an immediate one: a crash, as far as the data can tell. */
  const endWith = (signal: 'SIGINT' | 'SIGQUIT') => endServer(child, data, signal);
  return {
    url: `postgres://strata@127.0.0.1:${port}/postgres`,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    stop: () => endWith('SIGINT'),
    kill: () => endWith('SIGQUIT'),
    async restart() {
      await endWith('SIGQUIT');
      child = await start();
    },
    async close() {
      await endWith('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function endServer(
  child: Awaited<ReturnType<typeof launch>>,
  data: string,
  signal: 'SIGINT' | 'SIGQUIT',
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise(resolve => child.once('exit', resolve));
  // The child may be `runuser`, which does not hand signals on: the server itself is named in its pid file.
  const pid = Number(readPid(data));
  process.kill(pid, signal);
  await exited;
  await end(child, 'SIGKILL');
}

function readPid(data: string): string {
  const { stdout } = spawnSync('head', ['-1', join(data, 'postmaster.pid')], { encoding: 'utf8' });
  return stdout.trim();
}
