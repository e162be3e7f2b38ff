import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, type CallOptions, call } from './gateway.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const makeKey = join(import.meta.dirname, '../../../shared/src/create-key.ts');

export interface GatewayProcess {
  readonly child: ChildProcess;
  readonly url: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
}

export interface GatewayProcesses {
  /** Another process of the same installation. */
  start(role: 'all' | 'http' | 'worker'): Promise<GatewayProcess>;
  /** Kills every process that was started. */
  close(): Promise<void>;
}

/** Real processes that share a configuration, a folder and a store, as replicas do. */
export function gatewayProcesses(
  folder: string,
  { store, section }: { store?: Record<string, unknown>; section: Record<string, unknown> },
): GatewayProcesses {
  const file = join(folder, 'strata.yaml');
  const config = {
    data_dir: folder,
    telemetry: { log_level: 'error' },
    ...(store !== undefined && { store }),
    agent_gateway: { listen: { port: 0 }, ...section },
  };
  writeFileSync(file, JSON.stringify(config));
  const env = { ...process.env, STRATA_CONFIG: file, NODE_COMPILE_CACHE: join(folder, 'compiled') };
  const started: ChildProcess[] = [];
  let key: string | undefined;
  const keyOf = () => {
    const args = [makeKey, '--name', 't', '--principal', 't'];
    key ??= execFileSync(process.execPath, args, { env, encoding: 'utf8' }).trim();
    return key;
  };
  return {
    async start(role) {
      const userKey = keyOf();
      const child = spawn(process.execPath, [main], {
        env: { ...env, STRATA_AGENT_GATEWAY__ROLE: role },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      started.push(child);
      const gone = once(child, 'exit').then(() => undefined);
      const message = await Promise.race([once(child, 'message'), gone]);
      if (message === undefined) throw new Error('The gateway did not start');
      const { url } = message[0] as { url: string }; // what `startService` says
      return {
        child,
        url,
        call: (method, path, options = {}) => call(url, userKey, { method, path, ...options }),
      };
    },
    async close() {
      const alive = started.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      await Promise.all(
        alive.map(child => {
          const exit = once(child, 'exit');
          child.kill('SIGKILL');
          return exit;
        }),
      );
    },
  };
}
