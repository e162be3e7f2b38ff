import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
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

/** A private Redis without persistence: what is in it is gone when it ends, as in production. */
export async function startRedis(): Promise<PrivateServer | ServerMissing> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return serverMissing('redis-server');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'strata-redis-'));
  const command = [
    'redis-server',
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  const start = () => launch(command, output => output.includes('Ready to accept connections'));
  let child = await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    stop: () => end(child, 'SIGTERM'),
    kill: () => end(child, 'SIGKILL'),
    async restart() {
      await end(child, 'SIGKILL');
      child = await start();
    },
    async close() {
      await end(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
