import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

const canPin = spawnSync('taskset', ['--version']).status === 0;

/** The command on one core, where cores can be chosen. */
export function pinned(core: number, command: readonly string[]): readonly string[] {
  return canPin ? ['taskset', '-c', String(core), ...command] : command;
}

/** Starts a Node program that says `{ type: 'ready', url }` over its channel; pinned to one core where possible. */
export async function startProgram(options: {
  entry: string;
  /** Of Node itself. */
  execArgs?: readonly string[];
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  core: number;
}): Promise<{ url: string; child: ChildProcess; cpuMs(): number; stop(): Promise<void> }> {
  const command = [process.execPath, ...(options.execArgs ?? []), options.entry, ...(options.args ?? [])];
  const [file = '', ...rest] = pinned(options.core, command);
  const child = spawn(file, rest, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`${options.entry} ended with ${code}`)));
    child.on('message', (message: { type?: string; url?: string }) => {
      if (message.type === 'ready' && message.url !== undefined) resolve(message.url);
    });
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  return { url, child, cpuMs: () => cpuOf(child.pid ?? 0), stop };
}

const ticksPerSecond = 100;

/** User and system time of a process so far, from /proc (Linux). */
function cpuOf(pid: number): number {
  const { stdout } = spawnSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' });
  const fields = stdout.slice(stdout.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1000;
}
