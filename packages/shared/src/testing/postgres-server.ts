import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import {
  end,
  findProgram,
  freePort,
  launch,
  type PrivateServer,
  type ServerMissing,
  serverMissing,
  signalFamily,
  tiedToThisProcess,
} from './private-server.ts';

export interface PostgresServer extends PrivateServer {
  /** Makes an empty database and returns its url, so that tests share the server and nothing else. */
  createDatabase(): Promise<string>;
}

const versionsFolder = '/usr/lib/postgresql';

/** Debian keeps the programs of each version apart from PATH; the newest is taken. */
function programFolders(): string[] {
  if (!existsSync(versionsFolder)) return [];
  const versions = readdirSync(versionsFolder).sort((left, right) => Number(right) - Number(left));
  return versions.map(version => join(versionsFolder, version, 'bin'));
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made, or as nobody. */
function serverUser(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return /^postgres:/m.test(readFileSync('/etc/passwd', 'utf8')) ? 'postgres' : 'nobody';
}

/**
 * A private PostgreSQL that trusts loopback. Unless it is to be durable it does not wait for the disk: what it confirmed survives its
 * own death, which tests bring about, and not the machine's. Measurements want one that is.
 */
export async function startPostgres({
  isDurable = false,
}: {
  readonly isDurable?: boolean;
} = {}): Promise<PostgresServer | ServerMissing> {
  const [initdb, postgres] = ['initdb', 'postgres'].map(name => findProgram(name, programFolders()));
  if (initdb === undefined || postgres === undefined) return serverMissing('postgresql');
  const user = serverUser();
  const folder = mkdtempSync(join(tmpdir(), 'strata-postgres-'));
  if (user !== undefined) chmodSync(folder, 0o777); // the server's user makes its data folder inside
  const data = join(folder, 'data');
  await initialise(tiedToThisProcess([initdb, ...initOptions, '-D', data], user));
  const port = await freePort();
  const settings = [
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    `fsync=${isDurable ? 'on' : 'off'}`,
    ...serverSettings,
  ];
  const command = [postgres, '-D', data, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])];
  const start = () =>
    launch(tiedToThisProcess(command, user), output => output.includes('ready to accept connections'));
  let child = await start();
  const urlOf = (database: string) => `postgres://strata@127.0.0.1:${port}/${database}`;
  let databases = 0;
  return {
    url: urlOf('postgres'),
    port,
    get pid() {
      return child.pid ?? 0;
    },
    stop: () => end(child, 'SIGINT'), // "fast": sessions are ended, data is written
    kill: () => end(child, 'SIGKILL'),
    pause: () => signalFamily(child, 'SIGSTOP'),
    resume: () => signalFamily(child, 'SIGCONT'),
    async restart() {
      await end(child, 'SIGKILL');
      child = await start();
    },
    async close() {
      await end(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
    async createDatabase() {
      const name = `test_${++databases}`;
      await runOnce(urlOf('postgres'), `create database ${name}`);
      return urlOf(name);
    },
  };
}

const initOptions = ['-U', 'strata', '--auth=trust', '--no-sync', '--locale=C.UTF-8', '--encoding=UTF8'];
const serverSettings = ['max_connections=200', 'shared_buffers=32MB'];

async function initialise(command: readonly string[]): Promise<void> {
  const [file = '', ...args] = command;
  await promisify(execFile)(file, args);
}

async function runOnce(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
