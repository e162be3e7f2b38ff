import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** A private Redis without persistence: what is in it is gone when it ends. */
export async function startRedis(): Promise<PrivateServer | ServerMissing> {
  const program = findProgram('redis-server');
  if (program === undefined) return serverMissing('redis-server');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'strata-redis-'));
  const settings = { port: String(port), bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no' };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const start = () =>
    launch(tiedToThisProcess([program, ...options]), output =>
      output.includes('Ready to accept connections'),
    );
  let child = await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    stop: () => end(child, 'SIGTERM'),
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
  };
}
